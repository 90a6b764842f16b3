/* The page: what is chosen, drawn into the elements of template.html; and every key and button. */

const byId = (id) => document.getElementById(id);
const parsed = (id) => JSON.parse(byId(id).textContent);
const PICTURES = parsed("pictures");
const GAINS = [2, 4, 8, 16];
const THEMES = ["system", "light", "dark"];
const VIEWS = { s: "slider", f: "flicker", e: "error", b: "bits" };
const KEY_ZOOMS = { 0: "fit", 1: 1, 2: 2, 4: 4 };
const PAN = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
const PAN_STEP = 64;

/** left, right: index among sidesOf(record). flipped: flicker shows the right one. peeking: Space is held. */
const state = { picture: 0, left: 0, right: 1, view: "slider", gain: 8, flipped: false, peeking: false, drawing: 0 };
let record;
let pixels = new Map();
let bitsMap;

const addresses = new WeakMap();
const slider = byId("slider");
const whole = byId("whole");
const stage = new Stage(byId("stage"), () => drawPosition());
const sampler = element("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });

function open(index) {
  state.picture = (index + PICTURES.length) % PICTURES.length;
  record = parsed(`picture-${state.picture}`);
  pixels = new Map();
  bitsMap = unpackBits(record.bits);
  const last = record.contenders.length;
  Object.assign(state, { left: Math.min(state.left, last), right: Math.min(state.right, last) });
  document.title = `${record.name}, vlae compare`;
  byId("name").textContent = record.name;
  const { bytes, bpp } = record.contenders[0];
  const ratio = number(record.raw / bytes, record.raw < 20 * bytes ? 1 : 0);
  byId("summary").textContent =
    `${record.width} × ${record.height} pixels. vlae: ${number(bytes)} bytes, ${number(bpp, 3)} bits per pixel, ` +
    `${ratio} times smaller than its raw pixels.`;
  byId("missing").textContent = record.missing.length ? `Not here: ${record.missing.join("; ")}` : "";
  for (const thumbnail of document.querySelectorAll("#thumbnails button")) {
    thumbnail.setAttribute("aria-current", Number(thumbnail.value) === state.picture);
  }
  fillFigures(byId("figures"), record);
  fillLedger(byId("ledger"), byId("shares"), record);
  stage.open(record);
  draw();
}

/** Everything that depends on the choice of sides and view. */
function draw() {
  const sides = sidesOf(record);
  const [left, right] = [sides[state.left], sides[state.right]];
  fillChooser(byId("chooser"), record, state, pick);
  drawLayer(byId("left"), left);
  drawLayer(byId("right"), right);
  for (const [i, side] of [left, right].entries()) put(whole.querySelectorAll("img")[i], side);
  check("view", state.view);
  check("gain", state.gain);
  byId("gains").hidden = state.view !== "error";
  byId("flip").hidden = state.view !== "flicker";
  drawWhole();
  drawSliderValue();
  drawMaps(left, right);
}

function check(name, wanted) {
  for (const radio of document.getElementsByName(name)) radio.checked = radio.value === String(wanted);
}

function described(side) {
  return side.original ? "original" : `${side.name}, ${number(side.bytes)} bytes, ${decibels(side.psnr)} dB`;
}

function drawLayer(layer, side) {
  const image = layer.querySelector("img");
  put(image, side);
  image.alt = described(side);
  layer.querySelector(".badge").textContent = described(side);
}

/** Give an <img> its picture, unless it has it: setting the same address again would decode it again. */
function put(image, side) {
  if (addresses.get(image) === side.image) return;
  addresses.set(image, side.image);
  image.src = side.image;
}

/** One picture over both sides: in flicker view, and in any while Space is held. */
function drawWhole() {
  const flicker = state.view === "flicker";
  const right = flicker ? state.flipped !== state.peeking : true;
  whole.hidden = !flicker && !state.peeking;
  slider.inert = flicker;
  const label = described(sidesOf(record)[right ? state.right : state.left]);
  whole.querySelectorAll("img").forEach((image, i) => image.classList.toggle("shown", (i === 1) === right));
  whole.querySelector(".badge").textContent = label;
  whole.classList.toggle("on-right", right);
  whole.setAttribute("aria-label", label);
}

/** The canvases of the error and bits views, and the line that explains them. */
async function drawMaps(left, right) {
  const turn = ++state.drawing;
  const layers = [[byId("left"), left], [byId("right"), right]];
  const { view } = state;
  const mapped = layers.filter(([layer, side]) => (view === "error" && !side.original) || (view === "bits" && layer.id === "right"));
  const wanted = view === "bits" ? [record.contenders[0]] : mapped.map(([, side]) => side);
  const sources = mapped.length ? await Promise.all([record, ...wanted].map(pixelsFor)) : [];
  if (turn !== state.drawing) return;
  for (const [layer] of layers) layer.querySelector("canvas").hidden = !mapped.some(([other]) => other === layer);
  const legend = mapped.map(([layer, side], i) =>
    view === "error" ? drawErrorOf(layer, side, sources[0], sources[i + 1]) : drawBitsOf(layer, sources[1]));
  byId("legend").replaceChildren(...legend.flat());
}

async function pixelsFor(side) {
  if (!pixels.has(side.image)) pixels.set(side.image, loaded(side.image).then(pixelsOf));
  return pixels.get(side.image);
}

function drawErrorOf(layer, side, original, own) {
  const { mean, maximum } = drawError(layer.querySelector("canvas"), original, own, state.gain);
  layer.querySelector(".badge").textContent = `error of ${side.name}, ×${state.gain}`;
  return [element("span", {}, `${side.name}: |error| ${number(mean, 2)} on average, ${maximum} at most, of 255. `)];
}

function drawBitsOf(layer, own) {
  drawBits(layer.querySelector("canvas"), own, bitsMap);
  layer.querySelector(".badge").textContent = "bits of vlae";
  const ramp = element("span", { class: "ramp", role: "img", "aria-label": "dark: few bits; bright: many" });
  ramp.style.backgroundImage = HEAT_CSS;
  const side = bitsMap.position;
  return ["0", ramp, `${number(bitsMap.top)} bits and more per ${side} × ${side} pixels`];
}

function drawPosition() {
  check("zoom", stage.zoom);
  slider.handle = stage.pannable; // then only the divider's grip moves it, and the rest pans
  const percent = `${number(100 * stage.magnification)} %`;
  const ratio = `devicePixelRatio ${Math.round(100 * devicePixelRatio) / 100}`;
  byId("position").textContent = `${stage.zoom === "fit" ? "Fit, " : ""}${percent} of the screen’s pixels, ${ratio}`;
}

function drawSliderValue() {
  const sides = sidesOf(record);
  const share = Math.round(slider.value);
  slider.setAttribute("aria-valuenow", share);
  slider.setAttribute("aria-valuetext", `${share} % ${sides[state.left].name}, ${100 - share} % ${sides[state.right].name}`);
}

function say(text) {
  byId("status").textContent = text;
}

function pick(side, index) {
  state[side] = index;
  draw();
  document.querySelector(`#chooser input[name=${side}]:checked`).focus({ preventScroll: true });
  say(`${side}: ${sidesOf(record)[index].name}`);
}

function nextSide(side) {
  state[side] = (state[side] + 1) % sidesOf(record).length;
  draw();
  say(`${side}: ${sidesOf(record)[state[side]].name}`);
}

function setView(view) {
  Object.assign(state, { view, flipped: false });
  draw();
  say(`view: ${view}`);
}

function flip() {
  if (state.view !== "flicker") return setView("flicker");
  state.flipped = !state.flipped;
  drawWhole();
  say(whole.getAttribute("aria-label"));
}

function peek(on) {
  if (state.peeking === on) return;
  state.peeking = on;
  drawWhole();
}

function exchange() {
  [state.left, state.right] = [state.right, state.left];
  draw();
  say(`left: ${sidesOf(record)[state.left].name}`);
}

function setGain(gain) {
  state.gain = gain;
  draw();
  say(`error times ${gain}`);
}

function setZoom(zoom, point) {
  stage.setZoom(zoom, point);
  say(byId("position").textContent);
}

function setSlider(share) {
  slider.value = share;
  drawSliderValue();
}
