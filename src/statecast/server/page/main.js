// The page as a whole: what stands at its top, which view is open, and what is done when the connection breaks.

import { recolour } from "./charts.js";
import { Clock } from "./clock.js";
import { h, icon, ICONS, isTyping, say } from "./dom.js";
import { ago } from "./format.js";
import { Live } from "./live.js";
import { Overview } from "./overview.js";
import { SeriesView } from "./series.js";
import { ask, Refusal, signIn, signOut } from "./server.js";

const top_ = document.querySelector("header.top");
const notice = document.querySelector(".notice");
const content = document.querySelector("#content");
const live = new Live();
const context = { status: null, clock: null, fail };
let overview = null;
let view = null;
let searching = false; // whether the way leads to the search

// --- what stands at the top

const state = h("span", { class: "state" });
const zones = h("select", { class: "zones", hidden: true, "aria-label": "Time zone", onchange: () => rezone(zones.value) });
const zoneWords = h("span", { class: "soft zone-words" });
const model = h("span", { class: "soft model" });
const theme = h("button", { type: "button", class: "quiet", onclick: () => turn() });
const leave = h("button", { type: "button", class: "quiet", title: "Sign out", "aria-label": "Sign out", hidden: true, onclick: () => goOut() }, icon(ICONS.leave));
const keys = h("button", { type: "button", class: "quiet", title: "Keys (?)", "aria-label": "Keys", onclick: () => help.showModal() }, "?");
top_.append(h("a", { href: "#/", class: "brand", "aria-label": "statecast, overview" }, h("img", { src: new URL("icon.svg", import.meta.url).pathname, alt: "", width: 22, height: 22 }), "statecast"),
	model, h("span", { class: "space" }), zoneWords, zones, state, keys, theme, leave);

const THEMES = ["system", "light", "dark"];

function turn() {
	const now = document.documentElement.dataset.theme ?? "system";
	paintTheme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
}

function paintTheme(name) {
	if (name === "system") delete document.documentElement.dataset.theme;
	else document.documentElement.dataset.theme = name;
	localStorage.setItem("statecast-theme", name);
	theme.replaceChildren(icon(ICONS[name]));
	const words = { system: "Light or dark as the system", light: "Light", dark: "Dark" }[name];
	theme.title = `${words} (t)`;
	theme.setAttribute("aria-label", `Colours: ${words}`);
	recolour();
}

function describe() {
	const { name, cell, hidden, horizon, frequency } = context.status.model;
	const layers = cell && hidden?.length ? `${cell.toUpperCase()} ${hidden.join("-")}` : "";
	const ahead = `${horizon} step${horizon === 1 ? "" : "s"}${frequency ? ` of ${frequency}` : ""} ahead`;
	say(model, [name, layers, ahead].filter(Boolean).join(" · "));
	const { choices, readers, words } = context.clock;
	zones.hidden = !choices.length;
	say(zoneWords, choices.length ? "" : words);
	zones.replaceChildren(...choices.map(([key, text]) => h("option", { value: key, selected: (key === "reader") === readers }, text)));
	leave.hidden = !context.status.tokens;
}

function rezone(key) {
	context.clock.choose(key);
	overview?.again();
	if (view instanceof SeriesView) view.rezone();
}

// --- the connection

function tell() {
	const lost = context.status !== null && live.next !== null;
	state.hidden = context.status === null;
	state.className = `state ${lost ? "lost" : live.connected ? "on" : ""}`;
	say(state, lost ? "Connection lost" : live.connected ? "Live" : "Connecting");
	document.body.classList.toggle("stale", lost);
	notice.hidden = !lost;
	if (!lost) return;
	const wait = Math.max(0, Math.ceil((live.next - Date.now()) / 1000));
	const text = `Connection lost. What you see is from ${ago((Date.now() - live.since) / 1000)}. Next try in ${wait} s.`;
	if (!notice.firstChild) notice.append(h("span"), h("button", { type: "button", onclick: () => live.now() }, "Try now"));
	say(notice.firstChild, text);
}

/** A question was refused: without a right to ask, sign in; without an answer, the stream will notice too. */
function fail(error) {
	if (error.status === 401) login();
	else if (error.status === 0) live.now();
	else console.warn(error.message);
}

live.addEventListener("open", async ({ detail }) => {
	tell();
	if (!detail.again) return;
	if (await start(false)) for (const one of new Set([overview, view])) one?.again?.();
});
live.addEventListener("lost", async () => {
	tell();
	// A stream tells no status: one question says whether the server is away or wants a token.
	await ask("v1/status").catch((error) => error.status === 401 && login());
});
live.addEventListener("status", ({ detail }) => {
	const first = !context.status.series && detail.series;
	Object.assign(context.status, detail);
	tell();
	overview?.status(context.status);
	if (view !== overview) view?.status?.(context.status);
	if (first && overview) overview.again();
});
live.addEventListener("alarm", ({ detail }) => {
	overview?.alarm(detail);
	if (view !== overview) view?.alarm?.(detail);
});
live.addEventListener("observation", ({ detail }) => view?.observation?.(detail));
setInterval(tell, 500);

// --- which view is open

function place() {
	const match = /^#\/series\/(.+)$/.exec(location.hash);
	try {
		return match ? decodeURIComponent(match[1]) : null;
	} catch {
		return null; // not an address of this page
	}
}

async function open() {
	if (!context.status) return;
	const id = place();
	if (view !== overview) view?.unmount?.();
	live.follow(id);
	if (id === null) {
		document.title = "statecast";
		const earlier = overview;
		overview ??= new Overview(context, (chosen) => (location.hash = `#/series/${encodeURIComponent(chosen)}`));
		view = overview;
		content.replaceChildren(overview.element);
		if (earlier) overview.table.window.update();
		else await overview.mount();
	} else {
		view = new SeriesView(context, id, move);
		content.replaceChildren(view.element);
		scrollTo(0, 0);
		await view.mount();
	}
}

async function move(step) {
	const id = await overview?.table.neighbour(step);
	if (id !== null && id !== undefined) location.replace(`#/series/${encodeURIComponent(id)}`);
}

addEventListener("hashchange", async () => {
	const opened = open();
	// At once, not when the rows have come: by then the reader may be somewhere else.
	const { search, view: rows } = overview?.table ?? {};
	(place() !== null ? content : searching ? search : rows)?.focus({ preventScroll: true });
	searching = false;
	await opened;
});

// --- tokens

function login() {
	live.stop();
	context.status = null;
	zones.hidden = leave.hidden = true;
	tell();
	overview = view = null;
	const token = h("input", { type: "password", id: "token", autocomplete: "current-password", required: true, "aria-describedby": "wrong" });
	const wrong = h("p", { class: "bad", id: "wrong", role: "alert" });
	const enter = async (event) => {
		event.preventDefault();
		try {
			await signIn(token.value.trim());
			await begin();
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			say(wrong, error.status === 401 ? "The server does not know this token." : error.message);
			token.select();
		}
	};
	content.replaceChildren(h("form", { class: "card login", onsubmit: enter }, h("h1", {}, "Sign in"),
		h("input", { autocomplete: "username", value: "statecast", hidden: true }), h("label", { for: "token" }, "Token"), token, wrong, h("button", { type: "submit", class: "main" }, "Sign in"),
		h("p", { class: "soft" }, "It is exchanged for a cookie that no script can read, and never stands in an address.")));
	token.focus();
}

async function goOut() {
	await signOut().catch(() => null);
	login();
}

// --- keys

const HELP = [["/", "find a series"], ["↑ ↓", "move in the table; Page, Home and End too"], ["Enter", "open a series"], ["← →", "series before and after; on a chart, the cursor"], ["Esc", "back; ends a search"], ["t", "light, dark or as the system"], ["?", "these keys"]];
const help = h("dialog", { class: "card help", "aria-labelledby": "keys-title" }, h("h2", { id: "keys-title" }, "Keys"),
	h("dl", {}, HELP.flatMap(([key, words]) => [h("dt", {}, key.split(" ").map((one) => h("kbd", {}, one))), h("dd", {}, words)])),
	h("form", { method: "dialog" }, h("button", {}, "Close")));
document.body.append(help);

addEventListener("keydown", (event) => {
	if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event)) return;
	const inside = place() !== null;
	if (event.key === "?") help.showModal();
	else if (event.key === "t") turn();
	else if (event.key === "Escape" && inside) location.hash = "#/";
	else if (event.key === "ArrowLeft" && inside) move(-1);
	else if (event.key === "ArrowRight" && inside) move(1);
	else if (event.key === "/") {
		event.preventDefault();
		searching = inside;
		if (inside) location.hash = "#/";
		else overview?.table.search.focus();
	} else return;
});

// --- the beginning

/** Asks for the status; false where a token is wanted or the server is away. */
async function start(first) {
	try {
		context.status = await ask("v1/status");
		context.clock ??= new Clock(context.status.model);
		describe();
		return true;
	} catch (error) {
		if (!(error instanceof Refusal)) throw error;
		if (error.status === 401) login();
		else if (first) content.replaceChildren(h("p", { class: "card nothing" }, `${error.message} Trying again.`));
		return false;
	}
}

async function begin() {
	if (await start(true)) {
		live.start();
		await open();
	} else if (!document.querySelector("form.login")) {
		setTimeout(begin, 2000);
	}
}

paintTheme(document.documentElement.dataset.theme ?? "system");
begin();
