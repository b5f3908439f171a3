import hashlib
import json
import queue
import sqlite3
import threading
import time

results = queue.Queue()
lock = threading.Lock()
counter = 0


def work(number):
    global counter
    digest = hashlib.sha256(str(number).encode() * 10000).hexdigest()
    for _ in range(1000):
        with lock:
            counter += 1
    time.sleep(0.002)
    results.put((number, digest[:8]))


threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
data = dict(sorted(results.queue))
db = sqlite3.connect(":memory:")
db.execute("CREATE TABLE t(n INTEGER, d TEXT)")
db.executemany("INSERT INTO t VALUES(?, ?)", data.items())
print(json.dumps({"counter": counter, "digests": data, "rows": db.execute("SELECT count(*) FROM t").fetchone()[0]},
                 sort_keys=True))
