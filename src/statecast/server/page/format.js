// Numbers and times as a person reads them. A true minus, a thin space before a unit, figures that stand in columns.

const NONE = "–";
const grouped = [...Array(11).keys()].map(
	(digits) => new Intl.NumberFormat("en", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const minus = (text) => text.replace("-", "−");
const known = (x) => typeof x === "number" && Number.isFinite(x);

/** A whole number with its thousands apart. */
export function count(n) {
	return known(n) ? minus(grouped[0].format(n)) : NONE;
}

/** As many decimals as tell numbers of this size apart: five figures in all. */
function decimalsFor(size) {
	return size > 0 ? Math.min(10, Math.max(0, 4 - Math.floor(Math.log10(size)))) : 0;
}

/** Decimals that suit all values of a series: no more than they have, no more than six figures. */
export function decimalsOf(values) {
	const finite = values.filter(known);
	const size = Math.max(...finite.map(Math.abs), 0);
	const most = Math.min(10, Math.max(0, 5 - Math.floor(Math.log10(size || 1))));
	const written = finite.map((x) => /^-?\d*(?:\.(\d+))?$/.exec(String(x))?.[1]?.length ?? (Number.isInteger(x) ? 0 : most));
	return Math.min(most, Math.max(...written, 0));
}

/** A number with up to five figures, or with as many decimals as its neighbours. */
export function number(x, decimals = null) {
	if (!known(x)) return NONE;
	const size = Math.abs(x);
	if (size >= 1e12 || (size > 0 && size < 1e-6)) return minus(x.toExponential(3));
	if (decimals !== null) return minus(grouped[decimals].format(x));
	const digits = Number.isInteger(x) ? 0 : decimalsFor(size);
	return minus(grouped[digits].format(x)).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");
}

/** A mean error: four figures tell enough. */
export function error(x) {
	return known(x) ? number(x, Math.max(0, decimalsFor(Math.abs(x)) - 1)) : NONE;
}

/** A share as per cent with its sign. */
export function skill(share) {
	if (!known(share)) return NONE;
	const percent = 100 * share;
	const text = Math.abs(percent) < 10 ? percent.toFixed(1) : percent.toFixed(0);
	return `${percent > 0 ? "+" : ""}${minus(text)} %`;
}

/** A normal score: how many standard deviations from what was forecast. */
export function score(z) {
	if (!known(z)) return NONE;
	const text = z.toFixed(Math.abs(z) < 10 ? 1 : 0);
	return Number(text) === 0 ? "0.0" : `${z > 0 ? "+" : ""}${minus(text)}`;
}

/** Milliseconds of a time in seconds, three figures. */
export function milliseconds(seconds) {
	if (!known(seconds)) return NONE;
	const ms = 1000 * seconds;
	return ms >= 100 ? count(Math.round(ms)) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2);
}

/** A rate per second. */
export function rate(perSecond) {
	return known(perSecond) ? (perSecond > 0 && perSecond < 10 ? perSecond.toFixed(1) : count(Math.round(perSecond))) : NONE;
}

/** How long something is ago, in its largest unit. */
export function ago(seconds) {
	if (!known(seconds)) return NONE;
	const units = [["d", 86400], ["h", 3600], ["min", 60]];
	const [unit, size] = units.find(([, length]) => seconds >= length) ?? ["s", 1];
	return `${count(Math.floor(Math.max(0, seconds) / size))} ${unit} ago`;
}

/** Bytes in the unit that leaves one to three digits before the point. */
export function bytes(size) {
	if (!known(size)) return NONE;
	const step = size > 0 ? Math.min(4, Math.floor(Math.log10(size) / 3)) : 0;
	const part = size / 1000 ** step;
	return `${step && part < 100 ? part.toFixed(1) : count(Math.round(part))} ${["B", "kB", "MB", "GB", "TB"][step]}`;
}
