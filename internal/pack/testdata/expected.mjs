// What the KPIs of the packs in this folder are, computed from the raw files alone.
//
// This script knows nothing of Ombor's code, nor of its packs' files: it reads CSV, zip
// and log lines by itself and adds up. The end-to-end tests hold `ombor kpi` against it.
//
//	node expected.mjs DATA [boston|uk|canada|epa|xroad]
//
// DATA is the folder data of the shared test input. It prints one JSON object:
//
//	{pack: {rows: {read, accepted, refused}, kpis: {id: {period: {dimension: {key: cell}}}}}}
//
// period is "all", a day ("2017-09-25"), a month ("2011-07"), an hour of local time ("1995-08-29T23"), or a window
// ("2023-04-01..2024-03-31"). dimension is "" (the whole; its key is "") or the name of a
// field; the key "" of a field means that the row has no value. A cell has numerator,
// denominator (null for counts) and value (null for 0 ÷ 0), and covered and expected where
// coverage is defined. A sum of reported figures of which none was reported is null, not 0. A cell of quantiles has n and, for each quantile, the two values
// between which every definition of a quantile lies: {n, "0.5": [low, high], "0.9": […]}.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateRawSync } from 'node:zlib';

const [data, only] = process.argv.slice(2);
if (!data) {
	console.error('usage: node expected.mjs DATA [pack]');
	process.exit(2);
}

// member reads one file of a zip archive by its central directory.
function member(file, name) {
	const b = readFileSync(file);
	let end = b.length - 22;
	while (b.readUInt32LE(end) !== 0x06054b50) end--;
	let at = b.readUInt32LE(end + 16);
	for (let n = b.readUInt16LE(end + 10); n > 0; n--) {
		const [nameLength, extra, comment] = [28, 30, 32].map((o) => b.readUInt16LE(at + o));
		if (b.toString('utf8', at + 46, at + 46 + nameLength) === name) {
			const local = b.readUInt32LE(at + 42);
			const from = local + 30 + b.readUInt16LE(local + 26) + b.readUInt16LE(local + 28);
			const packed = b.subarray(from, from + b.readUInt32LE(at + 20));
			return (b.readUInt16LE(at + 10) === 8 ? inflateRawSync(packed) : packed).toString('utf8');
		}
		at += 46 + nameLength + extra + comment;
	}
	throw new Error(`${file} has no ${name}`);
}

// csv reads RFC 4180 text, character by character.
function csv(text) {
	if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
	const rows = [];
	let row = [], cell = '', quoted = false;
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (quoted) {
			if (c !== '"') cell += c;
			else if (text[i + 1] === '"') { cell += '"'; i++; }
			else quoted = false;
		} else if (c === '"' && cell === '') quoted = true;
		else if (c === ',') { row.push(cell); cell = ''; }
		else if (c === '\n') { row.push(cell.replace(/\r$/, '')); rows.push(row); row = []; cell = ''; }
		else cell += c;
	}
	if (cell !== '' || row.length > 0) { row.push(cell); rows.push(row); }
	return rows;
}

function objects(text) {
	const [header, ...rows] = csv(text);
	return rows.map((r) => Object.fromEntries(header.map((name, i) => [name, r[i]])));
}

// Sums are kept in BigInt, in units of 10^-scale, so that no digit is lost.
class Kpi {
	constructor({ numerator, denominator, covered, expected, percent = false, scale = 0 }) {
		Object.assign(this, { f: { numerator, denominator, covered, expected }, percent, scale, cells: {} });
	}
	add(row, period, dimensions) {
		const cells = (this.cells[period] ??= {});
		for (const [dimension, key] of Object.entries({ '': '', ...dimensions })) {
			const sum = ((cells[dimension] ??= {})[key] ??= {});
			for (const [part, of] of Object.entries(this.f)) {
				if (!of) continue;
				const value = of(row);
				sum[part] = value === null ? sum[part] ?? null : (sum[part] ?? 0n) + BigInt(value);
			}
		}
	}
	result() {
		return map3(this.cells, (s) => {
			const unit = 10 ** this.scale;
			const number = (n) => (n === null ? null : Number(n));
			const cell = { numerator: s.numerator === null ? null : Number(s.numerator) / unit, denominator: null };
			if (this.f.denominator) cell.denominator = number(s.denominator);
			cell.value = !this.f.denominator ? cell.numerator
				: cell.numerator === null || !cell.denominator ? null : (this.percent ? 100 : 1) * cell.numerator / cell.denominator;
			if (this.f.covered) Object.assign(cell, { covered: Number(s.covered), expected: Number(s.expected) });
			return cell;
		});
	}
}

class Quantiles {
	constructor(of, quantiles) { Object.assign(this, { of, quantiles, cells: {} }); }
	add(row, period, dimensions) {
		const value = this.of(row);
		if (value === null) return;
		const cells = (this.cells[period] ??= {});
		for (const [dimension, key] of Object.entries({ '': '', ...dimensions })) {
			((cells[dimension] ??= {})[key] ??= []).push(value);
		}
	}
	result() {
		return map3(this.cells, (values) => {
			values.sort((a, b) => a - b);
			const n = values.length;
			const at = (i) => values[Math.min(Math.max(i, 0), n - 1)];
			return { n, ...Object.fromEntries(this.quantiles.map((q) => [q, [at(Math.floor(q * n) - 1), at(Math.ceil(q * n))]])) };
		});
	}
}

function map3(cells, fn) {
	const each = (o, f) => Object.fromEntries(Object.entries(o).map(([k, v]) => [k, f(v)]));
	return each(cells, (dimensions) => each(dimensions, (keys) => each(keys, fn)));
}

function results(kpis) {
	return Object.fromEntries(Object.entries(kpis).map(([id, k]) => [id, k.result()]));
}

// instant is the moment (ms) of a wall time in a zone: of a time that the clocks show
// twice the first, of one that they skip as much later as they skip.
function instant(zone) {
	const format = new Intl.DateTimeFormat('en-CA', { timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' });
	const known = new Map();
	const offset = (ms) => {
		const hour = Math.floor(ms / 3600e3);
		if (!known.has(hour)) {
			const p = Object.fromEntries(format.formatToParts(hour * 3600e3).map((x) => [x.type, x.value]));
			known.set(hour, Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second) - hour * 3600e3);
		}
		return known.get(hour);
	};
	return (text) => {
		const wall = Date.parse(text.replace(' ', 'T') + 'Z');
		const before = offset(wall - 86400e3), after = offset(wall + 86400e3);
		if (before !== after && offset(wall - before) !== before && offset(wall - after) === after) return wall - after;
		return wall - before;
	};
}

const packs = {
	boston() {
		const rows = objects(member(join(data, 'us_boston_311/311_service_requests_2011.zip'), '311_service_requests_2011.csv'));
		const at = instant('America/New_York');
		const digital = (r) => ['Self Service', 'Citizens Connect App', 'Twitter'].includes(r.source);
		const kpis = {
			cases: new Kpi({ numerator: () => 1 }),
			'digital-share': new Kpi({ numerator: digital, denominator: () => 1, percent: true }),
			'digital-share-constituent': new Kpi({ numerator: digital, denominator: (r) => !['Employee Generated', 'Maximo Integration'].includes(r.source), percent: true }),
			'on-time-share': new Kpi({ numerator: (r) => r.ontime === 'ONTIME', denominator: (r) => r.ontime === 'ONTIME' || r.ontime === 'OVERDUE', percent: true }),
			'close-hours': new Quantiles((r) => (r.closed_dt.trim() === '' ? null : (at(r.closed_dt) - at(r.open_dt)) / 3600e3), [0.5, 0.9]),
		};
		for (const r of rows) {
			const by = { department: r.department.trim(), source: r.source, neighborhood: r.neighborhood.trim() };
			for (const k of Object.values(kpis)) {
				k.add(r, 'all', by);
				k.add(r, r.open_dt.slice(0, 7), by);
			}
		}
		return { rows: { read: rows.length, accepted: rows.length, refused: 0 }, kpis: results(kpis) };
	},

	uk() {
		const [header, ...rows] = csv(readFileSync(join(data, 'uk_transactions/transaction-volumes.csv'), 'utf8'));
		const months = 'January February March April May June July August September October November December'.split(' ');
		const windows = [];
		for (let i = 0; i < header.length; i++) {
			const m = header[i].match(/^(\w+) (\d+) to (\w+) (\d+): volume$/);
			if (!m) continue;
			// Every window has twelve months; the end that the header of one tells is wrong.
			const from = Date.UTC(m[2], months.indexOf(m[1]), 1);
			const to = Date.UTC(+m[2] + 1, months.indexOf(m[1]), 0);
			windows.push({ i, period: [from, to].map((d) => new Date(d).toISOString().slice(0, 10)).join('..') });
		}
		const has = (...names) => (r) => names.every((n) => r[n] !== '');
		const hundredThousandths = (text) => {
			const [whole, part = ''] = text.split('.');
			return BigInt(whole + part.padEnd(5, '0'));
		};
		const expected = () => 1;
		const high = (r) => r.volume !== '' && BigInt(r.volume) >= 100000n;
		const shared = (r) => has('volume', 'digital')(r) && BigInt(r.volume) > 0n;
		const kpis = {
			transactions: new Kpi({ numerator: (r) => (has('volume')(r) ? r.volume : null), covered: has('volume'), expected }),
			'digital-take-up': new Kpi({
				numerator: (r) => (has('volume', 'digital')(r) ? r.digital : null),
				denominator: (r) => (has('volume', 'digital')(r) ? r.volume : null),
				covered: has('volume', 'digital'), expected, percent: true,
			}),
			'digital-take-up@of-all': new Kpi({
				numerator: (r) => (has('volume', 'digital')(r) ? r.digital : null), denominator: (r) => (has('volume')(r) ? r.volume : null),
				covered: has('volume'), expected, percent: true,
			}),
			'digital-take-up@high-volume': new Kpi({
				numerator: (r) => (high(r) && has('digital')(r) ? r.digital : null), denominator: (r) => (high(r) && has('digital')(r) ? r.volume : null),
				covered: (r) => high(r) && has('digital')(r), expected: high, percent: true,
			}),
			'digital-take-up@mean-of-services': new Kpi({
				numerator: (r) => (shared(r) ? (1000000n * BigInt(r.digital)) / BigInt(r.volume) : null), denominator: (r) => (shared(r) ? 1000000n : 0n),
				covered: shared, expected, percent: true,
			}),
			'cost-per-transaction': new Kpi({
				numerator: (r) => (has('volume', 'cost')(r) ? BigInt(r.volume) * hundredThousandths(r.cost) : null), denominator: (r) => (has('volume', 'cost')(r) ? r.volume : null),
				covered: has('volume', 'cost'), expected, scale: 5,
			}),
			cost: new Kpi({ numerator: (r) => (has('volume', 'cost')(r) ? BigInt(r.volume) * hundredThousandths(r.cost) : null), covered: has('volume', 'cost'), expected, scale: 5 }),
		};
		const services = new Set();
		const impossible = []; // cells of more digital transactions than transactions
		let figures = 0;
		for (const row of rows) {
			const [department, , agency, , service] = row;
			for (const { i, period } of windows) {
				const [volume, digital, cost] = row.slice(i, i + 3);
				figures++;
				services.add(service);
				if (volume !== '' && digital !== '' && BigInt(digital) > BigInt(volume)) impossible.push({ period, department, agency, service, volume, digital });
				for (const k of Object.values(kpis)) k.add({ volume, digital, cost }, period, { department, agency, service });
			}
		}
		return { rows: { read: rows.length, services: services.size, accepted: figures, refused: 0 }, impossible, kpis: results(kpis) };
	},

	canada() {
		const read = (name) => objects(readFileSync(join(data, `ca_gc_services/${name}_2024_snapshot_2025-03-01.csv`), 'utf8'));
		const [services, standards] = [read('si'), read('ss')];
		const outward = (scope) => scope.includes('EXTERN') || scope.includes('ENTERPRISE');
		const channels = ['phone', 'online', 'in_person', 'mail', 'email', 'fax', 'other'].map((c) => (c === 'online' || c === 'in_person' ? `num_applications_${c}` : `num_applications_by_${c}`));
		const withCalls = [...channels, 'num_phone_enquiries'];
		const sum = (columns) => (r) => columns.filter((c) => reported(r[c])).reduce((n, c) => (n ?? 0n) + BigInt(r[c]), null);
		const count = (columns, is) => (r) => columns.filter((c) => is(r[c])).length;
		const reported = (cell) => cell !== 'NA' && cell !== 'ND' && cell !== '';
		const applies = (cell) => cell !== 'NA';
		const coverage = (columns) => ({ covered: count(columns, reported), expected: count(columns, applies) });
		const points = Object.keys(services[0]).filter((c) => /^os_/.test(c) && !/comments/.test(c));
		const any = (r, answer) => points.some((c) => r[c] === answer);
		const kpis = {
			applications: new Kpi({ numerator: sum(channels), ...coverage(channels) }),
			'online-share': new Kpi({ numerator: sum(['num_applications_online']), denominator: sum(channels), ...coverage(channels), percent: true }),
			'online-share-with-enquiries': new Kpi({ numerator: sum(['num_applications_online']), denominator: sum(withCalls), ...coverage(withCalls), percent: true }),
			'end-to-end-share': new Kpi({ numerator: (r) => any(r, 'Y') && !any(r, 'N'), denominator: (r) => any(r, 'Y') || any(r, 'N'), percent: true }),
		};
		const met = new Kpi({ numerator: (r) => r.target_met === 'Y', denominator: (r) => r.target_met === 'Y' || r.target_met === 'N', percent: true });
		const volumes = (r) => r.volume_meeting_target !== '' && r.total_volume !== '';
		const performance = new Kpi({
			numerator: (r) => (volumes(r) ? r.volume_meeting_target : null), denominator: (r) => (volumes(r) ? r.total_volume : null),
			covered: volumes, expected: () => 1, percent: true,
		});
		kpis['interaction-points-activated'] = new Kpi({ numerator: count(points, (c) => c === 'Y'), denominator: count(points, (c) => c === 'Y' || c === 'N'), percent: true });
		const year = (r) => r.fiscal_yr.replace(/^(\d+)-(\d+)$/, '$1-04-01..$2-03-31');
		const key = (r) => [r.fiscal_yr, r.owner_org, r.service_id].join('\n');
		const scopes = new Map();
		for (const r of services) {
			scopes.set(key(r), r.service_scope);
			if (!outward(r.service_scope)) continue;
			for (const k of Object.values(kpis)) k.add(r, year(r), { organisation: r.owner_org, service: r.service_id, scope: r.service_scope });
		}
		for (const r of standards) {
			if (outward(scopes.get(key(r)))) for (const k of [met, performance]) k.add(r, year(r), { organisation: r.owner_org, type: r.type, channel: r.channel });
		}
		return {
			rows: { read: services.length + standards.length, services: services.length, standards: standards.length, accepted: services.length + standards.length, refused: 0 },
			kpis: results({ ...kpis, 'standards-met-share': met, 'service-standard-performance': performance }),
		};
	},

	epa() {
		const lines = member(join(data, 'us_epa_http/epa-http.zip'), 'epa-http.csv').split('\n').filter((l) => l !== '');
		const kpis = {
			requests: new Kpi({ numerator: () => 1 }),
			bytes: new Kpi({ numerator: (r) => (r.bytes === '-' ? 0 : r.bytes) }),
			'error-share': new Kpi({ numerator: (r) => r.status >= 400, denominator: () => 1, percent: true }),
		};
		let refused = 0;
		for (const line of lines) {
			const tail = line.slice(line.lastIndexOf('"') + 1).trim().split(' ');
			const [day, hour] = line.slice(line.indexOf('[') + 1).split(':');
			if (tail.length !== 2) { // cut off before the size
				refused++;
				continue;
			}
			const [method, ...rest] = line.slice(line.indexOf('"') + 1, line.lastIndexOf('"')).split(' ');
			if (/^HTTP\/\d\.\d$/.test(rest.at(-1))) rest.pop();
			const path = rest.join(' ').split(/[?#]/)[0];
			const name = path.slice(path.lastIndexOf('/') + 1);
			const suffix = path.includes('/') && name.includes('.') ? name.slice(name.lastIndexOf('.') + 1) : '';
			const by = { method, extension: /^[A-Za-z0-9]{1,8}$/.test(suffix) ? suffix.toLowerCase() : '' };
			for (const k of Object.values(kpis)) {
				k.add({ status: +tail[0], bytes: tail[1] }, 'all', by);
				k.add({ status: +tail[0], bytes: tail[1] }, `1995-08-${day}T${hour}`, by);
			}
		}
		return { rows: { read: lines.length, accepted: lines.length - refused, refused }, kpis: results(kpis) };
	},

	// The portfolio of investments at the end of 31 August 2016 in Washington: figures by agency.
	itdashboard() {
		const on = '2016-08-31';
		const rows = objects(readFileSync(join(data, 'us_it_dashboard/businesscase.csv'), 'utf8'));
		const weekday = (ms) => ![0, 6].includes(new Date(ms).getUTCDay());
		// Missing: no update in the five working days after the ninetieth day behind the last one.
		const stale = (updated) => {
			let at = Date.parse(updated.slice(0, 10)) + 90 * 86400e3;
			for (let left = 5; left > 0; ) if (weekday((at += 86400e3))) left--;
			return at < Date.parse(on);
		};
		// "449.401" million dollars in cents, without a float.
		const cents = (text) => {
			const [whole, part = ''] = text.split('.');
			return BigInt(whole + part.padEnd(8, '0'));
		};
		const agencies = {};
		for (const r of rows) {
			for (const key of [r['Agency Code'].trim(), '']) {
				const f = (agencies[key] ??= { projects: 0, active: 0, stale: 0, expert_rated: 0, points: 0, budgeted: 0n });
				f.projects++;
				f.active++;
				if (stale(r['Date of Last Investment Detail Update'])) f.stale++;
				if (r['Date of Last Update to CIO Evaluation'].slice(0, 10) <= on) {
					f.expert_rated++;
					f.points += +r['Evaluation (by Agency CIO)'];
				}
				for (const name of ['PY1 and Prior', 'PY', 'CY', 'BY']) f.budgeted += cents(r[`Funding ${name} ($ M)`]);
			}
		}
		for (const f of Object.values(agencies)) {
			f.expert_rating = f.points / f.expert_rated;
			f.budgeted = Number(f.budgeted);
		}
		return { rows: { read: rows.length, accepted: rows.length, refused: 0 }, agencies };
	},

	xroad() {
		const day = (ms) => new Intl.DateTimeFormat('en-CA', { timeZone: 'Europe/Tallinn' }).format(+ms);
		const records = readFileSync(join(data, 'xroad_sample/opendata_sample.tsv'), 'utf8').split('\n').filter((l) => l !== '').map((line) => {
			const cells = line.split('\t').map((c) => (c === '\\N' ? null : c));
			return { consumer: cells[4], exchange: cells[6], producerView: cells[8], at: cells[13], side: cells[19], provider: cells[24], ok: cells[27] === 't', total: cells[28] };
		});
		const sides = new Map();
		for (const r of records) sides.set(r.exchange, (sides.get(r.exchange) ?? new Set()).add(r.side));
		const client = (r) => r.side === 'Client';
		const paired = (r) => sides.get(r.exchange).size === 2;
		const kpis = {
			'exchange-volume': new Kpi({ numerator: client }),
			'exchange-success-share': new Kpi({ numerator: (r) => client(r) && r.ok, denominator: client, percent: true }),
			'exchange-reconciled-share': new Kpi({ numerator: (r) => client(r) && paired(r), denominator: (r) => client(r) || !paired(r), percent: true }),
			'exchange-latency': new Quantiles((r) => (client(r) && r.ok ? +r.total : null), [0.95, 0.5]),
			'exchange-latency-producer': new Quantiles((r) => (!client(r) && r.ok ? +r.producerView : null), [0.95, 0.5]),
		};
		for (const r of records) {
			const by = { consumer: r.consumer, provider: r.provider };
			for (const k of Object.values(kpis)) for (const period of ['all', day(r.at)]) k.add(r, period, by);
		}
		const documents = readFileSync(join(data, 'xroad_sample/clean_documents.json'), 'utf8').split('\n').filter((l) => l.trim() !== '').map((l) => JSON.parse(l));
		const matched = {
			'matched-share': new Kpi({ numerator: (d) => d.producer != null, denominator: () => 1, percent: true }),
			// The corrector's own figures, which are not read by the mapping.
			'network-request-time': new Quantiles((d) => (d.producer ? d.requestNwDuration : null), [0.95, 0.5]),
			'network-response-time': new Quantiles((d) => (d.producer ? d.responseNwDuration : null), [0.05, 0.5, 0.95]),
			'network-balance': new Kpi({ numerator: (d) => (d.producer ? d.producerDurationClientView - d.producerDurationProducerView : 0) }),
		};
		for (const d of documents) {
			const by = { consumer: d.client.clientSubsystemCode ?? '', provider: d.client.serviceSubsystemCode ?? '' };
			for (const k of Object.values(matched)) for (const period of ['all', day(d.client.requestInTs)]) k.add(d, period, by);
		}
		const read = records.length + documents.length;
		return { rows: { read, exchanges: sides.size, accepted: read, refused: 0 }, kpis: results({ ...kpis, ...matched }) };
	},
};

const out = {};
for (const [name, compute] of Object.entries(packs)) {
	if (!only || only === name) out[name] = compute();
}
console.log(JSON.stringify(out, null, '\t'));
