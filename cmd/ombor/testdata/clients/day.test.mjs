// An analyst's day with the official @clickhouse/client, unchanged, against the governed SQL
// door: OMBOR_SQL names its address, OMBOR_KEY an API key of role analyst, OMBOR_OUT a folder
// for files that another program reads. The server holds simulated events of the pack uz.
import assert from 'node:assert/strict'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { after, test } from 'node:test'
import { createClient, ClickHouseError } from '@clickhouse/client'
import { tableFromIPC } from 'apache-arrow'

const { OMBOR_SQL: url, OMBOR_KEY: key, OMBOR_OUT: out } = process.env
const quiet = { log: { level: 127 } } // refusals are expected here
const client = createClient({ url, username: 'analyst', password: key, database: 'ombor', ...quiet })
after(() => client.close())

/** rows of a query, as objects */
const rows = async (query, query_params, more) => (await client.query({ query, query_params, format: 'JSONEachRow', ...more })).json()
const one = async (query, query_params, more) => Object.values((await rows(query, query_params, more))[0])[0]
/** what is thrown has the engine's code, and words */
const refused = (code, words) => (error) => {
  assert.ok(error instanceof ClickHouseError, `not an exception of the server: ${error}`)
  assert.equal(error.code, code, error.message)
  assert.match(error.message, words)
  return true
}

test('morning: who is there', async () => {
  assert.equal((await client.ping()).success, true)
  assert.equal((await client.ping({ select: true })).success, true)
  const [hello] = await rows('SELECT version() AS version, timezone() AS timezone, currentDatabase() AS database, currentUser() AS user')
  assert.match(hello.version, /^\d+\.\d+\.\d+/)
  assert.equal(hello.database, 'ombor')
  assert.notEqual(hello.user, '')
})

test('two ways to show a key, and none', async () => {
  const ask = async (config) => {
    const other = createClient({ url, database: 'ombor', ...quiet, ...config })
    try {
      return (await (await other.query({ query: 'SELECT 1 AS one', format: 'JSONEachRow' })).json())[0].one
    } finally {
      await other.close()
    }
  }
  assert.equal(await ask({ access_token: key }), 1)
  assert.equal(await ask({ username: 'default', password: key }), 1)
  await assert.rejects(ask({ username: 'default', password: 'wrong' }), refused('516', /./))
  await assert.rejects(ask({}), refused('516', /./))
})

test('what there is', async () => {
  for (const query of ['SHOW DATABASES', 'SELECT name FROM system.databases']) {
    const databases = (await rows(query)).map((d) => d.name)
    assert.ok(databases.includes('ombor'))
    assert.ok(!databases.some((d) => ['facts', 'meta', 'rollups'].includes(d)), `${query}: ${databases}`)
  }
  assert.ok((await rows('SHOW TABLES FROM ombor')).some((t) => t.name === 'request_decided_v1'))
  const tables = await rows("SELECT name, comment, engine FROM system.tables WHERE database = 'ombor' ORDER BY name")
  for (const name of ['calendar', 'kpi_values', 'kpis', 'organisations_history', 'request_decided_v1', 'services_history']) {
    assert.ok(tables.some((t) => t.name === name && t.comment), name)
  }
  assert.ok(!tables.some((t) => t.name.startsWith('discount_')), 'a contract with special fields')
  const columns = await rows("SELECT table, name, type, comment FROM system.columns WHERE database = 'ombor'")
  assert.deepEqual(columns.filter((c) => !c.comment), [])
  assert.ok((await rows('DESCRIBE TABLE ombor.request_decided_v1')).some((c) => c.name === 'applicant' && c.comment))
  assert.match(await one('SHOW CREATE TABLE ombor.calendar'), /working_days/)
})

test('parameters', async () => {
  const n = await one('SELECT count() AS n FROM request_decided_v1')
  assert.ok(Number(n) > 1000, `${n} decided requests`)
  const byDay = await one('SELECT count() AS n FROM request_decided_v1 WHERE _day BETWEEN {from:Date} AND {to:Date}', { from: '2024-01-01', to: '2024-12-31' })
  assert.equal(byDay, n)
  const [hard] = await rows("SELECT {s:String} AS s, {a:Array(String)} AS a, {n:Nullable(Int64)} AS n, {d:DateTime64(3, 'Asia/Tashkent')} AS d, {m:Map(String, UInt8)} AS m", {
    s: "oʻgʻil \\ ' \t\n {x} ; DROP", a: ["it's", '"', '\\'], n: null, d: new Date('2024-03-08T10:00:00.5Z'), m: { a: 1 },
  })
  assert.deepEqual(hard, { s: "oʻgʻil \\ ' \t\n {x} ; DROP", a: ["it's", '"', '\\'], n: null, d: '2024-03-08 15:00:00.500', m: { a: 1 } })
  // A list of 15,000 does not fit into an address: the client sends it as multipart.
  const codes = Array.from({ length: 15_000 }, (_, i) => `code-${i}`)
  assert.equal(Number(await one('SELECT length({codes:Array(String)}) AS n', { codes }, { use_multipart_params: true })), 15_000)
  await assert.rejects(rows('SELECT {gone:String}'), refused('456', /gone/))
})

test('formats', async () => {
  const text = async (format) => (await client.query({ query: 'SELECT day, works, holiday FROM calendar WHERE day = {day:Date}', query_params: { day: '2024-03-08' }, format })).text()
  assert.match(await text('CSVWithNames'), /^"day","works","holiday"\n"2024-03-08",false,"[^"]+"\n$/)
  assert.match(await text('TabSeparatedWithNamesAndTypes'), /^day\tworks\tholiday\nDate\tBool\tString\n/)
  const json = JSON.parse(await text('JSON'))
  assert.equal(json.rows, 1)
  assert.equal(json.meta[1].type, 'Bool')
  assert.equal(typeof json.statistics.rows_read, 'number')
  assert.match(await text('PrettyCompactMonoBlock'), /│/)
})

// A million rows; compressed, a tenth of them will do.
for (const [response, numbers] of [[false, 1000], [true, 100]]) {
  test(`${numbers * 1000} rows, streamed${response ? ', compressed' : ''}`, async () => {
    const other = createClient({ url, username: 'analyst', password: key, database: 'ombor', compression: { response }, ...quiet })
    const result = await other.query({
      query: `SELECT number AS n, c.day AS day, c.month AS month, c.works AS works
        FROM numbers({numbers:UInt64}) AS x CROSS JOIN (SELECT * FROM calendar ORDER BY day LIMIT 1000) AS c`,
      query_params: { numbers },
      format: 'JSONCompactEachRow',
    })
    let count = 0, sum = 0
    for await (const chunk of result.stream()) {
      for (const row of chunk) {
        const [n] = row.json()
        count++
        sum += Number(n)
      }
    }
    assert.equal(count, 1000 * numbers)
    assert.equal(sum, 1000 * numbers * (numbers - 1) / 2)
    await other.close()
  })
}

test('Arrow', async () => {
  const { stream } = await client.exec({ query: 'SELECT code, name_en, toUInt32OrZero(population) AS population FROM regions ORDER BY code FORMAT ArrowStream',
    clickhouse_settings: { output_format_arrow_compression_method: 'none' } }) // apache-arrow has no codec of its own
  const table = await tableFromIPC(stream)
  assert.equal(table.numRows, 14)
  assert.deepEqual(table.schema.fields.map((f) => f.name), ['code', 'name_en', 'population'])
  assert.ok(Number(table.getChild('population').get(0)) > 100_000)
})

test('Parquet', async () => {
  const { stream } = await client.exec({ query: 'SELECT day, month, working_days, works FROM calendar ORDER BY day FORMAT Parquet' })
  await pipeline(stream, createWriteStream(join(out, 'calendar.parquet')))
})

test('own lists', async () => {
  // As an external table: the query stands in the address, the list is a part of a form.
  const boundary = 'list-of-codes'
  const form = `--${boundary}\r\nContent-Disposition: form-data; name="mine"; filename="mine.tsv"\r\nContent-Type: text/tab-separated-values\r\n\r\n2024-03-08\tone\n2024-03-21\ttwo\n\r\n--${boundary}--\r\n`
  const { stream } = await client.exec({
    query: 'SELECT m.name, c.works, c.holiday FROM mine AS m INNER JOIN calendar AS c ON c.day = m.day ORDER BY m.day FORMAT TabSeparated',
    values: Readable.from([form]),
    http_headers: { 'Content-Type': `multipart/form-data; boundary=${boundary}` },
    clickhouse_settings: { mine_structure: 'day Date, name String', mine_format: 'TabSeparated' },
  })
  const lines = (await stream.toArray()).map(String).join('').trim().split('\n')
  assert.equal(lines.length, 2)
  assert.match(lines[0], /^one\tfalse\t/)
  // Pasted, and as parameters.
  assert.equal(Number(await one("SELECT count() AS n FROM values('day Date', '2024-03-08', '2024-03-21') AS m INNER JOIN calendar AS c ON c.day = m.day")), 2)
  assert.equal(Number(await one('SELECT count() AS n FROM calendar WHERE day IN {days:Array(Date)}', { days: ['2024-03-08', '2024-03-21'] })), 2)
})

// About a minute of work, below the number of rows that one statement may read.
const long = 'SELECT count() FROM numbers(1900000000) WHERE NOT ignore(sipHash64(number), sipHash64(number + 1), sipHash64(number + 2))'

test('cancelling frees the place', async () => {
  for (let i = 0; i < 6; i++) {
    const controller = new AbortController()
    const asked = client.query({ query: long, abort_signal: controller.signal })
    setTimeout(() => controller.abort(), 100)
    await assert.rejects(asked, (error) => !(error instanceof ClickHouseError)) // the client ended it, nothing else did
  }
  assert.equal(Number(await one('SELECT count() AS n FROM calendar')), 11_323)
})

test('what is refused, and how it reads', async () => {
  await assert.rejects(rows('SELECT 1 +'), refused('62', /[Ss]yntax/))
  await assert.rejects(rows('SELECT 1 FROM nowhere'), refused('60', /nowhere/))
  await assert.rejects(rows('SELECT nothing FROM calendar'), refused('47', /nothing/))
  await assert.rejects(rows("SELECT toDate('soon')"), refused('38', /date/i))
  await assert.rejects(client.command({ query: 'DROP TABLE ombor.calendar' }), refused('164', /read/i))
  await assert.rejects(client.insert({ table: 'calendar', values: [{ day: '2024-01-01' }], format: 'JSONEachRow' }), refused('164', /read/i))
  await assert.rejects(rows("SELECT * FROM file('/etc/hostname', 'LineAsString')"), refused('497', /file/))
  await assert.rejects(rows("SELECT file('/etc/hostname')"), refused('497', /file/))
  await assert.rejects(rows('SELECT count() FROM facts.request_decided_v1'), refused('60', /facts/))
  await assert.rejects(rows('SELECT 1; SELECT 2'), refused('62', /./))
})

test('limits', async () => {
  await assert.rejects(rows(long, {}, { clickhouse_settings: { max_execution_time: 1 } }), refused('159', /[Tt]imeout/))
  // An error in the middle of a result does not look like its end.
  let seen = 0
  await assert.rejects(async () => {
    const result = await client.query({ query: "SELECT number, toUInt8(if(number = 900000, 'in the middle', '1')) AS one FROM numbers(1000000)", format: 'JSONEachRow' })
    for await (const chunk of result.stream()) seen += chunk.length
  }, /in the middle/)
  assert.ok(seen > 0 && seen < 1_000_000, `${seen} rows before the error`)
})

test('progress', async () => {
  const result = await client.query({ query: 'SELECT count() AS n FROM numbers(30000000) WHERE NOT ignore(sipHash64(number))', format: 'JSONEachRowWithProgress' })
  let progress = 0, n = 0
  for await (const chunk of result.stream()) {
    for (const row of chunk) {
      const line = row.json()
      if (line.progress) progress++
      if (line.row) n = Number(line.row.n)
    }
  }
  assert.equal(n, 30_000_000)
  assert.ok(progress > 0, 'no progress was told')
  const { response_headers, query_id } = await client.query({ query: 'SELECT max(working_days) FROM calendar', query_id: 'of-my-own', clickhouse_settings: { wait_end_of_query: 1 } })
  assert.equal(query_id, 'of-my-own')
  assert.equal(response_headers['x-clickhouse-query-id'], 'of-my-own')
  assert.equal(JSON.parse(response_headers['x-clickhouse-summary']).read_rows, '11323')
})

test('sessions', async () => {
  const session = createClient({ url, username: 'analyst', password: key, database: 'ombor', session_id: crypto.randomUUID(), ...quiet })
  await session.command({ query: 'SET max_block_size = 1000' })
  const result = await session.query({ query: "SELECT value FROM system.settings WHERE name = 'max_block_size'", format: 'JSONEachRow' })
  assert.equal((await result.json()).length, 1)
  await assert.rejects(session.command({ query: 'CREATE TEMPORARY TABLE mine (x UInt8)' }), refused('164', /./))
  await session.close()
})

test('evening: one table of the day', async () => {
  const table = await rows(`SELECT c.month AS month, count() AS decided, countIf(processing IN ('automatic', 'officer_online')) AS online
    FROM request_decided_v1 AS r INNER JOIN calendar AS c ON c.day = r._day
    GROUP BY month ORDER BY month`)
  assert.equal(table.length, 12)
  assert.ok(table.every((r) => Number(r.online) <= Number(r.decided)))
  const values = await rows("SELECT kpi, from, value FROM kpi_values WHERE latest AND grain = 'year' AND by = '' AND kpi = 'online-processing-share'")
  assert.ok(values.every((v) => v.value === null || (v.value >= 0 && v.value <= 100)), JSON.stringify(values))
})
