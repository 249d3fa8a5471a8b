// Rows of one height, of which only those in sight exist. Browsers end an element at some 16 to 33 million pixels, so a
// million rows of 44 do not fit: beyond TALLEST the scroll bar is a scale of the rows, and the wheel and the keys move
// by rows as ever.

const TALLEST = 8_000_000;
const SPARE = 4; // rows drawn above and below the view

export class RowWindow {
	#count = 0;
	#top = 0; // in pixels of all rows, were the element as tall as they are
	#mark = -1; // scrollTop as it was set from here

	/**
	 * @param view the element that scrolls; its first child is a header that sticks.
	 * @param body the element that is as tall as the rows, and holds them.
	 * @param draw called with the first and the last row in sight, and with the place of the first in pixels.
	 */
	constructor(view, body, draw) {
		Object.assign(this, { view, body, draw, height: 44 });
		view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
		view.addEventListener("wheel", (event) => this.#turned(event), { passive: false });
		new ResizeObserver(() => this.update()).observe(view);
	}

	get #room() {
		return Math.max(0, this.view.clientHeight - this.view.firstElementChild.offsetHeight);
	}

	get #tall() {
		return this.#count * this.height;
	}

	get #scale() {
		const range = Math.min(this.#tall, TALLEST) - this.#room;
		return range > 0 ? Math.max(1, (this.#tall - this.#room) / range) : 1;
	}

	/** Rows that fit into the view. */
	get page() {
		return Math.max(1, Math.floor(this.#room / this.height) - 1);
	}

	resize(count, height) {
		Object.assign(this, { height });
		this.#count = count;
		this.body.style.height = `${Math.min(this.#tall, TALLEST)}px`;
		this.update();
	}

	/** Brings a row into sight. */
	show(index) {
		const place = index * this.height;
		if (place < this.#top) this.#go(place);
		else if (place + this.height > this.#top + this.#room) this.#go(place + this.height - this.#room);
	}

	#go(top) {
		this.#top = Math.min(Math.max(0, top), Math.max(0, this.#tall - this.#room));
		this.view.scrollTop = this.#top / this.#scale;
		this.#mark = this.view.scrollTop;
		this.update();
	}

	#scrolled() {
		if (Math.abs(this.view.scrollTop - this.#mark) < 1) return;
		this.#mark = this.view.scrollTop;
		this.#top = this.view.scrollTop * this.#scale;
		this.update();
	}

	#turned(event) {
		if (this.#scale === 1 || event.ctrlKey || !event.deltaY) return;
		const unit = [1, this.height, this.#room][event.deltaMode];
		const top = this.#top + event.deltaY * unit;
		if (top <= 0 && this.#top <= 0) return; // at an end the page scrolls on
		if (event.deltaY > 0 && this.#top >= this.#tall - this.#room) return;
		event.preventDefault();
		this.#go(top);
	}

	/** Draws what is in sight. */
	update() {
		this.#top = Math.min(this.#top, Math.max(0, this.#tall - this.#room));
		const first = Math.max(0, Math.floor(this.#top / this.height) - SPARE);
		const last = Math.min(this.#count - 1, Math.ceil((this.#top + this.#room) / this.height) + SPARE);
		this.draw(first, last, first * this.height - this.#top + this.view.scrollTop);
	}
}
