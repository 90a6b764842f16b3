/* Zoom and pan. Every layer shows the same part of the picture, because all take their place from the variables that
   are set here, on the element around them. Sizes in CSS pixels, but where it says pixels of the picture or screen. */

const ZOOMS = ["fit", 1, 2, 4];
const PIXELATED_FROM = 2;

class Stage {
  /** `changed` is called after every change of place or size. */
  constructor(element, changed) {
    this.element = element;
    this.changed = changed;
    this.zoom = "fit";
    this.size = { width: 1, height: 1 };
    this.centre = { x: 0.5, y: 0.5 };
    new ResizeObserver(() => this.place()).observe(element);
    window.addEventListener("resize", () => this.place());
  }

  /** Another picture of `size`, in its pixels; the zoom stays. */
  open(size) {
    this.size = size;
    this.centre = { x: size.width / 2, y: size.height / 2 };
    this.element.style.setProperty("--aspect", `${size.width} / ${size.height}`);
    this.place();
  }

  /** CSS pixels per pixel of the picture. At 100 % a pixel of the picture is one of the screen. */
  get scale() {
    const { clientWidth, clientHeight } = this.element;
    const fit = Math.min(clientWidth / this.size.width, clientHeight / this.size.height);
    return this.zoom === "fit" ? fit : this.zoom / devicePixelRatio;
  }

  /** Pixels of the screen per pixel of the picture. */
  get magnification() {
    return this.scale * devicePixelRatio;
  }

  /** Whether there is more of the picture than is shown. */
  get pannable() {
    const { clientWidth, clientHeight } = this.element;
    return this.size.width * this.scale > clientWidth + 0.5 || this.size.height * this.scale > clientHeight + 0.5;
  }

  /** Zoom so that what lies under the point (of the window) stays there; without one, the middle does. */
  setZoom(zoom, point) {
    const box = this.element.getBoundingClientRect();
    const { x, y } = point ?? { x: box.left + box.width / 2, y: box.top + box.height / 2 };
    const kept = this.toPicture(x, y);
    this.zoom = zoom;
    this.centre = {
      x: kept.x - (x - box.left - this.element.clientWidth / 2) / this.scale,
      y: kept.y - (y - box.top - this.element.clientHeight / 2) / this.scale,
    };
    this.place();
  }

  step(direction) {
    const next = ZOOMS[ZOOMS.indexOf(this.zoom) + direction];
    if (next !== undefined) this.setZoom(next);
  }

  pan(dx, dy) {
    this.centre = { x: this.centre.x - dx / this.scale, y: this.centre.y - dy / this.scale };
    this.place();
  }

  /** Where in the picture, in its pixels, a point of the window is. */
  toPicture(x, y) {
    const box = this.element.getBoundingClientRect();
    return {
      x: this.centre.x + (x - box.left - this.element.clientWidth / 2) / this.scale,
      y: this.centre.y + (y - box.top - this.element.clientHeight / 2) / this.scale,
    };
  }

  place() {
    const { clientWidth, clientHeight, style, classList } = this.element;
    if (!clientWidth || !clientHeight) return;
    const [width, height] = [this.size.width * this.scale, this.size.height * this.scale];
    this.centre = {
      x: within(this.centre.x, clientWidth / 2 / this.scale, this.size.width),
      y: within(this.centre.y, clientHeight / 2 / this.scale, this.size.height),
    };
    const box = this.element.getBoundingClientRect();
    const left = onScreen(clientWidth / 2 - this.centre.x * this.scale, box.left);
    const top = onScreen(clientHeight / 2 - this.centre.y * this.scale, box.top + scrollY);
    const places = { left, top, width, height, "stage-height": clientHeight };
    for (const [name, value] of Object.entries(places)) style.setProperty(`--${name}`, `${value}px`);
    classList.toggle("pixelated", this.zoom !== "fit" || this.magnification >= PIXELATED_FROM);
    classList.toggle("pannable", this.pannable);
    this.changed();
  }
}

/** A centre that leaves no empty margin, given half of what is seen and all there is; the middle where all is seen. */
function within(centre, half, all) {
  return 2 * half >= all ? all / 2 : Math.min(Math.max(centre, half), all - half);
}

/** The offset moved to where a pixel of the screen begins: between two of them the browser would blend. */
function onScreen(offset, origin) {
  return Math.round((offset + origin) * devicePixelRatio) / devicePixelRatio - origin;
}
