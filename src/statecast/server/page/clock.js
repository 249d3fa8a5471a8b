// Times of the table, read in its own zone or in the reader's, and the page always says which.
//
// A time comes as `statecast stream` writes it: text for a date or a date and time, with a Z where the table has a
// zone, and a number otherwise. Inside the page it is a number: seconds since 1970, or the number that came. Times
// without a zone are the table's own clock; they are never shifted.

import { count } from "./format.js";

const READERS = Intl.DateTimeFormat().resolvedOptions().timeZone;
const KEY = "statecast-zone";
const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const formats = new Map();

export class Clock {
	/** @param model what the server says of its model: time_kind and tz. */
	constructor(model) {
		this.daily = model.time_kind === "date";
		this.dated = this.daily || model.time_kind === "datetime";
		this.zoned = Boolean(model.tz);
		this.tables = model.tz || "UTC";
		this.readers = this.zoned && localStorage.getItem(KEY) === "reader";
	}

	get zone() {
		return this.readers ? READERS : this.tables;
	}

	/** The zones to choose from, as [key, words]; none where a table has no zone. */
	get choices() {
		if (!this.zoned || this.tables === READERS) return [];
		return [["table", `Table’s time, ${this.tables}`], ["reader", `Your time, ${READERS}`]];
	}

	choose(key) {
		this.readers = key === "reader";
		localStorage.setItem(KEY, key);
	}

	/** What times mean on this page, in a few words. */
	get words() {
		if (!this.dated) return "Times are the table’s own numbers";
		if (!this.zoned) return "Times are the table’s own, which has no zone";
		if (this.tables === READERS) return `Times in ${this.tables}`;
		return this.readers ? `Times in your zone, ${READERS}` : `Times in the table’s zone, ${this.tables}`;
	}

	/** A time that came as a number. */
	place(time) {
		if (typeof time !== "string") return time ?? null;
		const text = time.length > 10 ? time.replace(" ", "T") : `${time}T00:00:00`;
		return Date.parse(text.endsWith("Z") ? text : `${text}Z`) / 1000;
	}

	/** A number of `place` as text: 2026-11-29 14:05, with seconds only where there are any. */
	text(place) {
		if (place === null || place === undefined || Number.isNaN(place)) return "–";
		if (!this.dated) return String(place);
		const text = stamp(place, this.zone);
		return this.daily ? text.slice(0, 10) : text.replace(/(:\d\d):00$/, "$1");
	}

	/** Labels of an axis of times: days and months where they change, else the time of day. */
	ticks(places, step) {
		if (!this.dated) return places.map((place) => count(place));
		return places.map((place, n) => {
			const [day, time] = stamp(place, this.zone).split(" ");
			const [year, month, date] = day.split("-");
			if (step < 86400 && time !== "00:00:00" && n > 0) return step < 60 ? time : time.slice(0, 5);
			if (step >= 360 * 86400) return year;
			return step >= 28 * 86400 ? `${MONTHS[month - 1]} ${year}` : `${Number(date)} ${MONTHS[month - 1]}`;
		});
	}

	/** A date on the clock of the chosen zone, as charts want it. */
	date(place) {
		return uPlot.tzDate(new Date(1000 * place), this.zone);
	}
}

/** Seconds since 1970 as year-month-day hours:minutes:seconds on a zone's clock. */
export function stamp(seconds, zone = READERS) {
	if (!formats.has(zone)) {
		const two = "2-digit";
		const parts = { year: "numeric", month: two, day: two, hour: two, minute: two, second: two, hourCycle: "h23" };
		formats.set(zone, new Intl.DateTimeFormat("en-CA", { ...parts, timeZone: zone }));
	}
	return formats.get(zone).format(new Date(1000 * seconds)).replace(",", "");
}
