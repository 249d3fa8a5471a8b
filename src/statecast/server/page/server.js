// All that goes to the server and comes from it. Addresses are relative, so that the page also works below a prefix.

/** What the server answered where it did not do as asked; status 0 where it did not answer. */
export class Refusal extends Error {
	constructor(status, message) {
		super(message);
		this.status = status;
	}
}

async function call(path, options) {
	let answer;
	try {
		answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
	} catch (error) {
		if (error.name === "AbortError") throw error;
		throw new Refusal(0, "The server does not answer.");
	}
	const body = answer.status === 204 ? null : await answer.json().catch(() => null);
	if (!answer.ok) throw new Refusal(answer.status, body?.error ?? `The server answered ${answer.status}.`);
	return body;
}

/** The answer to a question, as JSON; parameters that are null are left out. */
export function ask(path, parameters = {}, signal = undefined) {
	const pairs = Object.entries(parameters).filter(([, value]) => value !== null && value !== "");
	return call(pairs.length ? `${path}?${new URLSearchParams(pairs)}` : path, { signal });
}

/** The address of a series' calls. */
export function seriesPath(id, part = "") {
	return `v1/series/${encodeURIComponent(id)}${part}`;
}

export function signIn(token) {
	const headers = { "content-type": "application/json" };
	return call("v1/session", { method: "POST", headers, body: JSON.stringify({ token }) });
}

export function signOut() {
	return call("v1/session", { method: "DELETE" });
}
