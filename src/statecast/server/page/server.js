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

/** The answer to a question with a body. */
function post(path, body) {
	return call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

/** A series' "forecast" or "explanation", under what is known ahead, by column; see `knownAhead`. */
export async function ahead(kind, id, known) {
	if (known === undefined) throw new Refusal(400, "Say what is known ahead, below the picture.");
	if (!known) return ask(seriesPath(id, `/${kind}`));
	return (await post(`v1/${kind}`, { ids: [id], known: { [id]: known } }))[`${kind}s`][0];
}

/** The address of a series' calls. */
export function seriesPath(id, part = "") {
	return `v1/series/${encodeURIComponent(id)}${part}`;
}

export function signIn(token) {
	return post("v1/session", { token });
}

export function signOut() {
	return call("v1/session", { method: "DELETE" });
}
