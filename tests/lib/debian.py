"""Debian packages as test input: installed files, and packages unpacked beside the host."""

import glob
import os
import subprocess

import qemu

PASSED_OVER = ("/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/lintian", "/usr/share/bug")


def install(packages):
    """Installs the packages that are not installed yet."""
    missing = [p for p in packages if subprocess.run(
        ["dpkg-query", "-W", "-f=${Status}", p], capture_output=True, text=True).stdout != "install ok installed"]
    if missing:
        sudo = [] if os.getuid() == 0 else ["sudo"]
        install_command = [*sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-y", "-qq",
                           "--no-install-recommends", "install", *missing]
        if subprocess.run(install_command, capture_output=True).returncode != 0:
            subprocess.run([*sudo, "apt-get", "-qq", "update"], check=True, capture_output=True)
            subprocess.run(install_command, check=True, capture_output=True)


def unpack(package):
    """Downloads `package` and unpacks it below build/, without installing it. Returns the folder."""
    folder = os.path.join(qemu.BUILD, "packages", package)
    done = os.path.join(folder, ".done")
    if not os.path.exists(done):
        os.makedirs(folder, exist_ok=True)
        subprocess.run(["apt-get", "-qq", "download", package], cwd=folder, check=True, capture_output=True)
        for deb in glob.glob(os.path.join(folder, "*.deb")):
            subprocess.run(["dpkg", "-x", deb, folder], check=True)
            os.unlink(deb)
        open(done, "w").close()
    return folder


def cloud_kernel():
    """The kernel image of Debian's cloud flavour, for the baseline."""
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], check=True,
                             capture_output=True, text=True).stdout
    package = next(line.split()[1] for line in depends.splitlines() if "Depends:" in line)
    return glob.glob(os.path.join(unpack(package), "boot", "vmlinuz-*"))[0]


def files(packages):
    """{path: host path or ("link", target)} of everything in the installed packages but documentation."""
    result = {}
    for package in packages:
        listing = subprocess.run(["dpkg", "-L", package], check=True, capture_output=True, text=True).stdout
        for path in listing.splitlines():
            if path.startswith(PASSED_OVER):
                continue
            if os.path.islink(path):
                result[path] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                result[path] = path
    return result
