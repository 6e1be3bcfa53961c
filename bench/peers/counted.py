"""What a peer wrote: rows and the sum of cost of `usage`, whatever schema it is in.

`python counted.py DATABASE`, after the measurement.
"""

import json
import sys

import duckdb


def main() -> None:
    with duckdb.connect(sys.argv[1], read_only=True) as connection:
        found = connection.execute(
            "SELECT schema_name, table_name FROM duckdb_tables() WHERE table_name = 'usage'"
        ).fetchone()
        if found is None:
            sys.exit("there is no table usage")
        rows, cost = connection.execute(
            f'SELECT COUNT(*), CAST(SUM(CAST(cost AS DECIMAL(38, 9))) AS VARCHAR) FROM "{found[0]}"."{found[1]}"'
        ).fetchone() or (0, "")
    print(json.dumps({"rows": rows, "cost": cost}))


if __name__ == "__main__":
    main()
