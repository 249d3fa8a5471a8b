// One stream of events for the whole tab: browsers allow six connections to a server, so there is never a second one,
// and a tab that nobody looks at holds none. When the stream breaks the page says so, tries again after one second,
// two, four, up to fifteen, and then asks for everything anew, so nothing has to be pieced together.

const TYPES = ["status", "alarm", "observation"];
const SILENCE = 12_000; // milliseconds; a status comes every two seconds
const LONGEST = 15; // seconds between two tries

/** Sends "status", "alarm" and "observation" with their data as `detail`, "open" when it is connected, "lost" when not. */
export class Live extends EventTarget {
	#source = null;
	#watch = 0;
	#retry = 0;
	#failures = 0;
	#series = null;
	#running = false;

	constructor() {
		super();
		this.since = Date.now(); // of the last word from the server
		this.next = null; // when the next try is made, while there is no connection
		document.addEventListener("visibilitychange", () => this.#running && (document.hidden ? this.#close() : this.now()));
	}

	get connected() {
		return this.next === null && this.#source?.readyState === EventSource.OPEN;
	}

	/** Follows one series closely, or none. */
	follow(id) {
		if (id === this.#series) return;
		this.#series = id;
		if (this.#running) this.now();
	}

	start() {
		if (!this.#running) {
			this.#running = true;
			this.now();
		}
	}

	stop() {
		this.#running = false;
		this.#close();
	}

	/** Connects at once. */
	now() {
		this.#close();
		const parameters = new URLSearchParams({ types: this.#series === null ? "status,alarm" : TYPES.join(",") });
		if (this.#series !== null) parameters.set("id", this.#series);
		const source = (this.#source = new EventSource(`v1/events?${parameters}`));
		source.onopen = () => {
			const again = this.#failures > 0;
			this.#failures = 0;
			this.next = null;
			this.#note();
			this.dispatchEvent(new CustomEvent("open", { detail: { again } }));
		};
		source.onerror = () => this.#lose();
		for (const type of TYPES) {
			source.addEventListener(type, (event) => {
				this.#note();
				this.dispatchEvent(new CustomEvent(type, { detail: JSON.parse(event.data) }));
			});
		}
		this.#watch = setTimeout(() => this.#lose(), SILENCE);
	}

	#note() {
		this.since = Date.now();
		clearTimeout(this.#watch);
		this.#watch = setTimeout(() => this.#lose(), SILENCE);
	}

	#lose() {
		this.#close();
		const wait = Math.min(LONGEST, 2 ** this.#failures++);
		this.next = Date.now() + 1000 * wait;
		this.#retry = setTimeout(() => this.now(), 1000 * wait);
		this.dispatchEvent(new CustomEvent("lost"));
	}

	#close() {
		clearTimeout(this.#watch);
		clearTimeout(this.#retry);
		this.#source?.close();
		this.#source = null;
	}
}
