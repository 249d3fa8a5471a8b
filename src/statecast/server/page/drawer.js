// A section that is closed at first, and asks for what it shows while it is open.

import { h } from "./dom.js";
import { Refusal } from "./server.js";

/**
 * @param kind class of what is in it.
 * @param heading and what is said beside it.
 * @param load gives its elements.
 */
export function drawer(kind, heading, words, load) {
	const content = h("div", { class: kind });
	const again = async () => {
		if (!element.open) return;
		try {
			content.replaceChildren(...(await load()));
		} catch (error) {
			if (!(error instanceof Refusal)) throw error;
			content.replaceChildren(h("p", { class: "nothing" }, error.message));
		}
	};
	const element = h("details", { class: "card", ontoggle: again },
		h("summary", {}, h("h2", {}, heading), h("span", { class: "soft" }, words)), content);
	return { element, again };
}
