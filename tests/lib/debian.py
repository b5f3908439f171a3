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
    """{path: host path or ("link", target)} of everything in the installed packages but documentation; with
    Python's compiled modules, which the packages' scripts make and no package owns."""
    result = {}
    compiled = set()
    for package in packages:
        listing = subprocess.run(["dpkg", "-L", package], check=True, capture_output=True, text=True).stdout
        for path in listing.splitlines():
            if path.startswith(PASSED_OVER):
                continue
            if os.path.islink(path):
                result[path] = ("link", os.readlink(path))
            elif os.path.isfile(path):
                result[path] = path
                if path.endswith(".py"):
                    compiled.add(os.path.join(os.path.dirname(path), "__pycache__"))
    for folder in compiled:
        for path in glob.glob(os.path.join(folder, "*.cpython-3*.pyc")):
            result[path] = path
    return result


def owner(path):
    """The installed package that owns `path`, or None."""
    for name in (path, os.path.realpath(path), path.replace("/usr/bin/", "/bin/", 1)):
        found = subprocess.run(["dpkg-query", "-S", name], capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.split(": ")[0].split(",")[0]
    return None


def closure_of_program(path, more=()):
    """Files of the package that owns `path`, of `more`, and of all packages these depend on; {} when none owns it."""
    first = owner(path)
    if first is None:
        return {}
    seen, todo = set(), [first, *more]
    while todo:
        package = todo.pop()
        if package in seen:
            continue
        query = subprocess.run(["dpkg-query", "-W", "-f=${Status}\n${Depends}, ${Pre-Depends}\n", package],
                               capture_output=True, text=True)
        if query.returncode != 0 or "install ok installed" not in query.stdout:
            continue
        seen.add(package)
        for entry in query.stdout.splitlines()[1].split(","):
            for alternative in entry.split("|"):
                name = alternative.split("(")[0].strip()
                if name:
                    todo.append(name)
    return files(sorted(seen - {"dpkg", "debconf", "perl-base"} | {first}))
