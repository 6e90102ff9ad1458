// Runs one statement from standard input in DuckDB and prints its rows, cells joined by tabs.
import { readFileSync } from 'node:fs'
import { DuckDBInstance } from '@duckdb/node-api'

const connection = await (await DuckDBInstance.create(':memory:')).connect()
const answer = await connection.runAndReadAll(readFileSync(0, 'utf8'))
const lines = answer.getRows().map(row => row.map(cell => String(cell)).join('\t'))
process.stdout.write(lines.map(line => line + '\n').join(''))
