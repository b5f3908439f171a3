"""60,000 single inserts for sqlite3, and questions about them. usage: inserts.py FILE"""
import sys

with open(sys.argv[1], "w") as out:
    out.write("CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, value REAL);\nBEGIN;\n")
    for i in range(60000):
        out.write(f"INSERT INTO t VALUES({i}, 'name-{i * 7919 % 60000}', {i / 8});\n")
    out.write("COMMIT;\nCREATE INDEX by_name ON t(name);\n"
              "SELECT count(*), sum(id), max(name), min(value), max(value) FROM t;\n"
              "SELECT id FROM t WHERE name = 'name-4711';\nPRAGMA integrity_check;\n")
