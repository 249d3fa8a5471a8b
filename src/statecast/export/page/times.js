"use strict";

// Times as the model's table has them: whole numbers (BigInt), microseconds since 1970 where they are dates.

const DAY = 86_400_000_000n;

const floorDiv = (a, b) => a / b - (a % b !== 0n && a % b < 0n !== b < 0n ? 1n : 0n);
const modulo = (a, b) => a - floorDiv(a, b) * b;

class Times {
	/** @param of what the model says of its times: kind, unit, count, end, week, dates, zone, daily. */
	constructor(of) {
		Object.assign(this, of);
		this.count = BigInt(of.count);
		this.dated = of.kind === "date" || of.kind === "datetime";
		this.instants = this.dated && Boolean(of.zone) && !of.daily;
		this.closed = new Set(of.dates);
		if (this.dated && of.zone) {
			const parts = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
			this.reader = new Intl.DateTimeFormat("en-US", { timeZone: of.zone, hourCycle: "h23", ...parts });
		}
	}

	/** A time from its text. */
	parse(text) {
		const plain = text.trim();
		if (!this.dated) {
			if (!/^[+-]?\d+$/.test(plain)) throw new Error(`“${text}” is not a whole number, as times are in this table`);
			return BigInt(plain);
		}
		const m = /^(\d{4})[-/](\d\d?)(?:[-/](\d\d?))?(?:[T ](\d\d?):(\d\d)(?::(\d\d)(?:[.,](\d{1,6})\d*)?)?)?\s*(Z|[+-]\d\d:?\d\d)?$/i.exec(plain);
		const day = m && Date.UTC(+m[1], +m[2] - 1, +(m[3] ?? 1));
		if (!m || new Date(day).getUTCMonth() !== +m[2] - 1 || +(m[4] ?? 0) > 23 || +(m[5] ?? 0) > 59) {
			throw new Error(`“${text}” is not a time that this page can read: write 2024-03-01 or 2024-03-01 10:00`);
		}
		const seconds = BigInt(day / 1000 + 3600 * +(m[4] ?? 0) + 60 * +(m[5] ?? 0) + +(m[6] ?? 0));
		const wall = seconds * 1_000_000n + BigInt((m[7] ?? "").padEnd(6, "0"));
		if (!m[8]) return this.instants ? this.#instant(wall) : wall;
		const shift = m[8].toUpperCase() === "Z" ? 0n : this.#offset(m[8]);
		const instant = wall - shift;
		return this.instants || !this.zone ? instant : instant + this.#shift(instant);
	}

	#offset(text) {
		const [hours, minutes] = [text.slice(1, 3), text.slice(-2)];
		return BigInt(text[0] + "1") * (BigInt(hours) * 3600n + BigInt(minutes) * 60n) * 1_000_000n;
	}

	/** How far the local clock is ahead of universal time. */
	#shift(instant) {
		const milliseconds = Number(floorDiv(instant, 1000n));
		const p = Object.fromEntries(this.reader.formatToParts(milliseconds).map((part) => [part.type, +part.value]));
		const wall = Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
		return BigInt(wall - Math.floor(milliseconds / 1000) * 1000) * 1000n;
	}

	/** The instant at which the local clock shows this; the first of two where it was set back. */
	#instant(wall) {
		const early = wall - this.#shift(wall - DAY);
		return early + this.#shift(early) === wall ? early : wall - this.#shift(wall - this.#shift(wall));
	}

	/** What the local clock shows, as microseconds since 1970. */
	clock(time) {
		return this.instants ? time + this.#shift(time) : time;
	}

	format(time) {
		if (!this.dated) return String(time);
		const wall = this.clock(time);
		const text = new Date(Number(floorDiv(wall, 1000n))).toISOString();
		if (this.daily && modulo(wall, DAY) === 0n) return text.slice(0, 10);
		return text.slice(0, 10) + " " + text.slice(11, modulo(wall, 60_000_000n) ? 19 : 16);
	}

	/** The time so many steps later. */
	advance(time, steps) {
		const n = BigInt(steps);
		if (this.unit === "month") return this.#months(time, n * this.count);
		if (this.unit === "business") return this.#businessDays(time, n * this.count);
		return time + n * this.count;
	}

	#months(time, months) {
		const now = new Date(Number(floorDiv(time, 1000n)));
		const month = now.getUTCFullYear() * 12 + now.getUTCMonth() + Number(months);
		const days = new Date(Date.UTC(Math.floor(month / 12), (month % 12) + 1, 0)).getUTCDate();
		const day = this.end ? days : Math.min(now.getUTCDate(), days);
		return BigInt(Date.UTC(Math.floor(month / 12), month % 12, day)) * 1000n + modulo(time, DAY);
	}

	#counts(day) {
		return this.week[Number(modulo(day + 3n, 7n))] === "1" && !this.closed.has(Number(day));
	}

	#businessDays(time, days) {
		let day = floorDiv(time, DAY);
		while (!this.#counts(day)) day -= 1n;
		for (let left = days; left > 0n; ) {
			day += 1n;
			if (this.#counts(day)) left -= 1n;
		}
		return day * DAY + modulo(time, DAY);
	}

	/** How many steps lead from one time to a later one; null where no whole number does, or more than `most`. */
	steps(from, to, most) {
		if (this.unit !== "month" && this.unit !== "business") {
			const gap = to - from;
			return gap % this.count === 0n && gap / this.count <= BigInt(most) ? Number(gap / this.count) : null;
		}
		for (let n = 0; n <= most; n++) {
			const time = this.advance(from, n);
			if (time >= to) return time === to ? n : to < from ? -1 : null;
		}
		return null;
	}

	/** The step since 1970 modulo the season's length, by which some intervals differ. */
	phase(time, season) {
		let steps;
		if (this.unit === "month") {
			const now = new Date(Number(floorDiv(time, 1000n)));
			steps = floorDiv(BigInt((now.getUTCFullYear() - 1970) * 12 + now.getUTCMonth()), this.count);
		} else if (this.unit === "business") {
			let days = 0n;
			for (let day = 1n; day <= floorDiv(time, DAY); day += 1n) days += this.#counts(day) ? 1n : 0n;
			steps = floorDiv(days, this.count);
		} else {
			steps = floorDiv(time, this.count);
		}
		return modulo(steps, BigInt(season));
	}
}
