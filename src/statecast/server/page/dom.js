// Elements are built here and nowhere else. Text goes in as text, never as markup, so that a series may bear any name.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
	for (const [name, value] of Object.entries(attributes ?? {})) {
		const state = name.startsWith("aria-"); // which says false as well
		if (value === null || value === undefined || (value === false && !state)) continue;
		if (typeof value === "function") element.addEventListener(name.slice(2), value);
		else element.setAttribute(name, value === true && !state ? "" : value);
	}
	element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
	return element;
}

/** An HTML element: h("a", {href: "#/", onclick: f}, "text", element, …). */
export function h(name, attributes, ...children) {
	return fill(document.createElement(name), attributes, children);
}

/** An SVG element. */
export function s(name, attributes, ...children) {
	return fill(document.createElementNS(SVG, name), attributes, children);
}

/** Sets the text of an element where it differs, so that a reader's selection survives. */
export function say(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

/** An icon: one path on a square of 20. */
export function icon(path) {
	return s("svg", { viewBox: "0 0 20 20", "aria-hidden": "true", class: "icon" }, s("path", { d: path }));
}

export const ICONS = {
	system: "M3 4.5h14v9H3zM7.5 16.5h5M10 13.5v3",
	light: "M10 6.5a3.5 3.5 0 1 0 0 7a3.5 3.5 0 0 0 0-7M10 2v2M10 16v2M2 10h2M16 10h2M4 4l2 2M14 14l2 2M4 16l2-2M14 6l2-2",
	dark: "M16 11.8A6.5 6.5 0 0 1 8.2 4a6.5 6.5 0 1 0 7.8 7.8z",
	back: "M12 4.5L6.5 10l5.5 5.5",
	before: "M5 12.5L10 7l5 5.5",
	after: "M5 7.5L10 13l5-5.5",
	search: "M8.8 3.5a5.3 5.3 0 1 0 0 10.6a5.3 5.3 0 0 0 0-10.6M12.7 12.7L17 17",
	leave: "M8 4H4.5v12H8M12.5 6.5L16 10l-3.5 3.5M16 10H8",
	alarm: "M10 3.5L17.5 16.5H2.5zM10 8.5v3.6M10 14.2v.3",
};

/** Whether a key press belongs to a field that takes text. */
export function isTyping(event) {
	return event.target.closest?.("input, select, textarea, dialog") !== null;
}
