"use strict";

// The model: its two graphs run by onnxruntime, and what each series has come to.

const LONGEST_GAP = 20_000; // missing steps that are passed at once

/** Bytes from the text that a file of this folder holds them as: base64 of what gzip made of them. */
async function bytes(text) {
	const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
	const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
	return new Uint8Array(await new Response(stream).arrayBuffer());
}

class Network {
	constructor(ort, step, forecast, model) {
		Object.assign(this, { ort, model, sessions: { step, forecast } });
		this.times = new Times(model.time);
		this.inputs = new Map(model.inputs.map((item) => [item.name, item]));
		this.turn = Promise.resolve();
	}

	/** Reads the runtime and the graphs, from this folder alone. */
	static async load(runtime, model) {
		const address = URL.createObjectURL(new Blob([await bytes(runtime.module)], { type: "text/javascript" }));
		const ort = await import(address);
		ort.env.wasm.numThreads = 1;
		ort.env.wasm.wasmBinary = (await bytes(runtime.wasm)).buffer;
		ort.env.logLevel = "error";
		const sessions = [];
		for (const graph of [model.step, model.forecast]) {
			sessions.push(await ort.InferenceSession.create(await bytes(graph), { executionProviders: ["wasm"] }));
		}
		return new Network(ort, ...sessions, model);
	}

	#tensor(name, numbers) {
		const item = this.inputs.get(name);
		const sizes = item.shape.map((size) => (size === "batch" ? 1 : size));
		const kinds = { float64: Float64Array, float32: Float32Array, int64: BigInt64Array };
		const kind = kinds[item.type];
		return new this.ort.Tensor(item.type, numbers instanceof kind ? numbers : kind.from(numbers.flat(Infinity)), sizes);
	}

	/** The state of a series that has observed nothing. */
	start() {
		return Object.fromEntries(Object.entries(this.model.start).map(([name, part]) => [name, this.#tensor(name, [part].flat(Infinity))]));
	}

	/** The state in which one of the training table's series ended. */
	remembered(place) {
		const parts = Object.entries(this.model.states).filter(([name]) => name.startsWith("state."));
		return Object.fromEntries(parts.map(([name, rows]) => [name, this.#tensor(name, [rows[place]].flat(Infinity))]));
	}

	/** What is known ahead of a time, and what tells the series: inputs of both graphs. */
	#ahead(series, time) {
		const feeds = {};
		const later = Array.from({ length: this.model.horizon }, (_, n) => this.times.advance(time, n + 1));
		for (const item of this.model.columns.known) {
			const known = later.map((moment) => series.future.get(moment)?.[item.name] ?? NaN);
			if (this.inputs.has(`ahead.${item.name}`)) feeds[`ahead.${item.name}`] = this.#tensor(`ahead.${item.name}`, known);
		}
		if (this.inputs.has("ahead.time")) feeds["ahead.time"] = this.#tensor("ahead.time", later.map((moment) => this.times.clock(moment)));
		if (this.inputs.has("series")) feeds.series = this.#tensor("series", series.numbers.map(BigInt));
		if (this.inputs.has("phase")) feeds.phase = this.#tensor("phase", [this.times.phase(time, this.model.season)]);
		return feeds;
	}

	/** The forecast from after a row, and the state after it. */
	step(series, state, time, values, covariates) {
		const feeds = { ...state, ...this.#ahead(series, time), values: this.#tensor("values", values) };
		for (const role of ["past", "known", "static"]) {
			const source = role === "static" ? series.fixed : covariates;
			for (const item of this.model.columns[role]) feeds[`${role}.${item.name}`] = this.#tensor(`${role}.${item.name}`, [source[item.name] ?? NaN]);
		}
		if (this.inputs.has("time")) feeds.time = this.#tensor("time", [this.times.clock(time)]);
		return this.#run("step", feeds);
	}

	/** The forecast from a state. */
	forecast(series, state, time) {
		return this.#run("forecast", { ...state, ...this.#ahead(series, time) });
	}

	/** One run after another: a session takes one at a time. */
	#run(name, feeds) {
		const run = this.turn.then(() => this.sessions[name].run(feeds));
		this.turn = run.catch(() => {});
		return run.then((results) => {
			const state = {}, forecast = {};
			for (const [output, tensor] of Object.entries(results)) {
				if (output.startsWith("next.")) state[`state.${output.slice(5)}`] = tensor;
				else forecast[output] = tensor.data;
			}
			return { forecast, state };
		});
	}
}

/** One series: its rows, and the state after them. */
class Series {
	/** @param place of the series among those that the model remembers; −1 for a new one. */
	constructor(network, id, place) {
		Object.assign(this, { network, id, place, rows: [], future: new Map(), fixed: {}, past: [] });
		const { model } = network;
		this.state = place < 0 ? network.start() : network.remembered(place);
		this.last = place < 0 ? null : BigInt(model.states.times[place]);
		this.numbers = place < 0 || !model.states.series ? model.newNumbers : [model.states.series[place]].flat();
		for (const item of model.columns.static) {
			this.fixed[item.name] = place < 0 ? NaN : model.states[`static.${item.name}`][place] ?? NaN;
		}
	}

	/** The time of the row to come; null where only the first row can tell. */
	get next() {
		const { times, model } = this.network;
		if (this.last !== null) return times.advance(this.last, 1);
		return model.time.kind === "row" ? 0n : null;
	}

	/** How many steps a row at this time comes after the last one. */
	gap(time) {
		const { times } = this.network;
		if (this.last === null) return 1;
		if (time <= this.last) throw new Error(`${times.format(time)} is not after the last row, ${times.format(this.last)}`);
		const steps = times.steps(this.last, time, LONGEST_GAP);
		if (steps === null) throw new Error(`${times.format(time)} is not a whole number of steps, at most ${LONGEST_GAP}, after ${times.format(this.last)}`);
		return steps;
	}

	/** The results of a row, which does not count yet; steps between it and the last one are passed as missing. */
	async seen(row) {
		const { network } = this;
		const time = row.time ?? this.next;
		if (time === null) throw new Error("The first row of a series needs its time");
		let { state } = this;
		const missing = this.network.model.columns.target.map(() => NaN);
		for (let n = 1, gap = this.gap(time); n < gap; n++) {
			({ state } = await network.step(this, state, network.times.advance(this.last, n), missing, {}));
		}
		return { time, ...(await network.step(this, state, time, row.values, row.covariates)) };
	}

	/** Takes a row. */
	async take(row) {
		for (const item of this.network.model.columns.static) {
			const value = row.covariates[item.name];
			if (value !== undefined && !Number.isNaN(value)) this.fixed[item.name] = value;
		}
		const { time, state, forecast } = await this.seen(row);
		this.past.push({ state: this.state, last: this.last });
		if (this.past.length > 100) this.past.shift();
		this.rows.push({ time, values: row.values });
		Object.assign(this, { state, last: time });
		return forecast;
	}

	/** Takes the last row back. */
	undo() {
		Object.assign(this, this.past.pop());
		this.rows.pop();
	}

	/** The forecast from after the last row; null where nothing was observed. */
	async forecast() {
		if (this.last === null) return null;
		return (await this.network.forecast(this, this.state, this.last)).forecast;
	}
}
