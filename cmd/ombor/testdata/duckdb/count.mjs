// Counts the rows of the lake with DuckDB: node count.mjs 'LAKE/<table>/**/*.parquet' …
// Prints one JSON object: {"<glob>": {"rows": n, "signed": Σ _sign, "columns": [...]}}.
import { DuckDBInstance } from '@duckdb/node-api'

const connection = await (await DuckDBInstance.create(':memory:')).connect()
const answer = {}
for (const glob of process.argv.slice(2)) {
  const from = `read_parquet('${glob.replaceAll("'", "''")}', union_by_name = true)`
  const counted = await connection.runAndReadAll(`SELECT count(*), sum(_sign) FROM ${from}`)
  const [rows, signed] = counted.getRows()[0]
  const columns = await connection.runAndReadAll(`SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM ${from})`)
  answer[glob] = { rows: Number(rows), signed: Number(signed), columns: Object.fromEntries(columns.getRows()) }
}
console.log(JSON.stringify(answer))
