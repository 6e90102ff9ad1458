// What moved the digital take-up of the United Kingdom between two windows, from the raw
// file alone, in exact fractions: the parts and the services that add most to each.
//	node why_uk.mjs transaction-volumes.csv 2015-07-01 2016-07-01
import { readFileSync } from 'node:fs';

const [file, ...windows] = process.argv.slice(2);
const lines = [];
{ // CSV
	let line = [''], quoted = false;
	const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
	for (let i = 0; i < text.length; i++) {
		const c = text[i];
		if (quoted && c === '"' && text[i + 1] === '"') line[line.length - 1] += text[++i];
		else if (c === '"') quoted = !quoted;
		else if (!quoted && c === ',') line.push('');
		else if (!quoted && c === '\n') lines.push(line), (line = ['']);
		else if (quoted || c !== '\r') line[line.length - 1] += c;
	}
	if (line.length > 1) lines.push(line);
}
const [header, ...rows] = lines;
const months = 'January February March April May June July August September October November December'.split(' ');
const columns = windows.map((from) => {
	const [year, month] = from.split('-').map(Number);
	return header.findIndex((h) => h.startsWith(`${months[month - 1]} ${year} to `) && h.endsWith(': volume'));
});

const gcd = (a, b) => (b ? gcd(b, a % b) : a < 0n ? -a : a);
class F {
	constructor(n, d = 1n) {
		const g = gcd(n, d) || 1n;
		[this.n, this.d] = d < 0n ? [-n / g, -d / g] : [n / g, d / g];
	}
	plus(o) { return new F(this.n * o.d + o.n * this.d, this.d * o.d); }
	minus(o) { return new F(this.n * o.d - o.n * this.d, this.d * o.d); }
	times(o) { return new F(this.n * o.n, this.d * o.d); }
	by(o) { return new F(this.n * o.d, this.d * o.n); }
	points() { return Number((this.n * 10n ** 12n) / this.d) / 1e10; } // percentage points
	size() { return Math.abs(this.points()); }
}
const zero = new F(0n), half = new F(1n, 2n);
const services = new Map();
for (const row of rows) {
	for (const [period, i] of columns.entries()) {
		if (row[i] === '' || row[i + 1] === '') continue;
		const s = services.get(row[4]) ?? { n: [zero, zero], d: [zero, zero] };
		services.set(row[4], s);
		s.n[period] = s.n[period].plus(new F(BigInt(row[i + 1])));
		s.d[period] = s.d[period].plus(new F(BigInt(row[i])));
	}
}
const sum = (list, of) => list.reduce((total, s) => total.plus(of(s)), zero);
const all = [...services.values()];
const both = all.filter((s) => s.d[0].n > 0n && s.d[1].n > 0n);
const ratio = (list, p) => sum(list, (s) => s.n[p]).by(sum(list, (s) => s.d[p]));
const R = [ratio(all, 0), ratio(all, 1)], B = [ratio(both, 0), ratio(both, 1)];
const D = [sum(all, (s) => s.d[0]), sum(all, (s) => s.d[1])], DB = [sum(both, (s) => s.d[0]), sum(both, (s) => s.d[1])];
for (const s of all) {
	s.reported = s.mix = s.rates = zero;
	if (both.includes(s)) {
		const w = [0, 1].map((p) => s.d[p].by(DB[p])), r = [0, 1].map((p) => s.n[p].by(s.d[p]));
		s.mix = w[1].minus(w[0]).times(r[0].plus(r[1]).minus(B[0]).minus(B[1])).times(half);
		s.rates = r[1].minus(r[0]).times(w[0].plus(w[1])).times(half);
	} else {
		s.reported = s.n[1].minus(s.d[1].times(B[1])).by(D[1]).minus(s.n[0].minus(s.d[0].times(B[0])).by(D[0]));
	}
}
const part = (key) => ({
	change: sum(all, (s) => s[key]).points(),
	largest: [...services].filter(([, s]) => s[key].n !== 0n).sort(([, a], [, b]) => b[key].size() - a[key].size()).slice(0, 5).map(([name, s]) => [name, s[key].points()]),
});
console.log(JSON.stringify({
	before: R[0].points(), now: R[1].points(), likeBefore: B[0].points(), likeNow: B[1].points(), units: both.length,
	reported: part('reported'), mix: part('mix'), rates: part('rates'),
}));
