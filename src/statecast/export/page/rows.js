"use strict";

// Text as rows, and cells as numbers. Errors name the row and the column.

const MISSING = new Set(["", "nan", "na", "n/a", "null", "none", "-"]);

/** The cells of a CSV text, and what separates them: a comma, a semicolon, a tab or a bar. */
function cells(text) {
	const plain = text.replace(/^\uFEFF/, "");
	const line = plain.slice(0, plain.search(/\r?\n|$/));
	const delimiter = [",", ";", "\t", "|"].reduce((a, b) => (line.split(b).length > line.split(a).length ? b : a));
	const rows = [];
	let row = [], cell = "", quoted = false;
	const end = () => { row.push(cell); cell = ""; };
	for (let n = 0; n < plain.length; n++) {
		const c = plain[n];
		if (quoted) {
			if (c !== '"') cell += c;
			else if (plain[n + 1] === '"') { cell += '"'; n++; }
			else quoted = false;
		} else if (c === '"' && cell.trim() === "") { cell = ""; quoted = true; }
		else if (c === delimiter) end();
		else if (c === "\n") { end(); rows.push(row); row = []; }
		else if (c !== "\r") cell += c;
	}
	if (cell !== "" || row.length) { end(); rows.push(row); }
	return { delimiter, rows: rows.filter((item) => item.some((value) => value.trim() !== "")) };
}

/** A number from its text, NaN where it is missing. */
function number(text, place, delimiter = ",") {
	const plain = text.trim();
	if (MISSING.has(plain.toLowerCase())) return NaN;
	const value = Number(delimiter === ";" ? plain.replace(",", ".") : plain);
	if (!Number.isFinite(value)) throw new Error(`${place}: “${text}” is not a number`);
	return value;
}

/** A covariate from its text: a number, or the place of its category; NaN where missing or unknown. */
function covariate(item, text, place, delimiter) {
	if (item.kind === "numeric") return number(text, place, delimiter);
	const label = text.trim();
	const at = item.categories.findIndex((name) => name === label || name.toLowerCase() === label.toLowerCase());
	return at < 0 ? NaN : at;
}

/**
 * The rows of a CSV text: for each its series, time, targets and covariates by name.
 *
 * @param schema the columns of the model's table.
 * @param times what its times are.
 * @param series the series of rows without an id column.
 */
function tableRows(text, schema, times, series) {
	const { delimiter, rows } = cells(text);
	if (!rows.length) throw new Error("There are no rows: paste some, with the names of the columns above them");
	const items = [...schema.past, ...schema.known, ...schema.static];
	const place = columnPlaces(rows, schema);
	const first = place.header ? 1 : 0;
	return rows.slice(first).map((row, n) => {
		const at = (name) => `row ${n + 1 + first}, column ${name}`;
		const cell = (name) => (place.of.has(name) ? row[place.of.get(name)] ?? "" : "");
		const values = schema.target.map((name) => number(cell(name), at(name), delimiter));
		const covariates = Object.fromEntries(items.map((item) => [item.name, covariate(item, cell(item.name), at(item.name), delimiter)]));
		let time = null;
		if (schema.time !== null && place.of.has(schema.time)) {
			try {
				time = times.parse(cell(schema.time));
			} catch (error) {
				throw new Error(`${at(schema.time)}: ${error.message}`);
			}
		}
		const id = schema.id !== null && place.of.has(schema.id) ? cell(schema.id).trim() : series;
		return { id, time, values, covariates };
	});
}

/** Where each column stands, and whether the first row names them; without names there are times and targets alone. */
function columnPlaces(rows, schema) {
	const header = rows[0].map((name) => name.trim());
	if (schema.target.every((name) => header.includes(name))) {
		return { header: true, of: new Map(header.map((name, n) => [name, n])) };
	}
	const isNumber = (text) => MISSING.has(text.trim().toLowerCase()) || Number.isFinite(Number(text.trim().replace(",", ".")));
	const count = schema.target.length;
	const names = header.length === count ? schema.target : schema.time !== null && header.length === count + 1 ? [schema.time, ...schema.target] : null;
	if (names === null || !rows[0].slice(-count).every(isNumber)) {
		const missing = schema.target.filter((name) => !header.includes(name));
		throw new Error(`The first row has no column ${missing.map((name) => `“${name}”`).join(", ")}: its columns are ${header.join(", ")}`);
	}
	return { header: false, of: new Map(names.map((name, n) => [name, n])) };
}
