// Alarms in words, newest first.

import { h, icon, ICONS } from "./dom.js";
import { number, score } from "./format.js";
import { part } from "./table.js";

/** What an alarm says, in a sentence. */
export function sentence(alarm, clock, target) {
	const since = clock.text(clock.place(alarm.since ?? alarm.time));
	if (alarm.id === null) return `All together have behaved differently since ${since}.`;
	if (alarm.kind === "drift") return `It has behaved differently since ${since}.`;
	if (alarm.kind === "missing") return `Nothing has come since ${since}.`;
	const value = number(part(alarm.value, target));
	const far = score(part(alarm.score, target));
	return value === "–" ? `Unusual, score ${far}.` : `${value} was unusual, score ${far}.`;
}

export const TITLES = { unusual: "Unusual value", drift: "Change", missing: "Missing" };

/** One alarm as an item of a list; `named` where the list is of many series. */
export function item(alarm, clock, target, named) {
	const title = alarm.id === null ? h("b", {}, "All series") : named
		? h("a", { href: `#/series/${encodeURIComponent(alarm.id)}`, title: String(alarm.id) }, String(alarm.id))
		: h("b", {}, TITLES[alarm.kind] ?? alarm.kind);
	const time = clock.text(clock.place(alarm.time));
	return h("li", { class: `alarm-item ${alarm.kind}` }, icon(ICONS.alarm),
		title, h("time", {}, time), h("span", { class: "soft" }, sentence(alarm, clock, target)));
}
