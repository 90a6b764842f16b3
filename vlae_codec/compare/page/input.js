/* Keys, buttons, pointer and theme. Last of the scripts: it opens the first picture. */

/** What each key does; letters in either case. */
const KEYS = {
  ...Object.fromEntries(Object.entries(VIEWS).map(([key, view]) => [key, () => (view === "flicker" ? flip() : setView(view))])),
  ...Object.fromEntries(Object.entries(KEY_ZOOMS).map(([key, zoom]) => [key, () => setZoom(zoom)])),
  "+": () => stage.step(1),
  "=": () => stage.step(1),
  "-": () => stage.step(-1),
  l: () => nextSide("left"),
  r: () => nextSide("right"),
  x: exchange,
  g: () => setGain(GAINS[(GAINS.indexOf(state.gain) + 1) % GAINS.length]),
  n: () => open(state.picture + 1),
  p: () => open(state.picture - 1),
  t: nextTheme,
  "?": () => byId("keys").showModal(),
};

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || byId("keys").open) return;
  const takesSpace = event.target.closest("button, a, input:not(:checked), [role=region]");
  if (event.key === " " && !takesSpace) peek(true);
  else if (event.shiftKey && PAN[event.key]) stage.pan(...PAN[event.key].map((step) => step * PAN_STEP));
  else if (event.target === slider && event.key === "Home") setSlider(0);
  else if (event.target === slider && event.key === "End") setSlider(100);
  else if (KEYS[event.key.toLowerCase()]) KEYS[event.key.toLowerCase()]();
  else return;
  event.preventDefault();
  event.stopPropagation(); // the slider moves on arrows, whatever else is held
}

/** Drag pans, where there is more to see and it is not the grip that is held; a click flips in flicker view. */
function onPointerDown(event) {
  if (event.button !== 0 || (!slider.inert && onGrip(event))) return;
  const start = { x: event.clientX, y: event.clientY };
  let last = start;
  const gesture = new AbortController();
  const on = (type, act) => stage.element.addEventListener(type, act, { signal: gesture.signal });
  if (stage.pannable) stage.element.setPointerCapture(event.pointerId);
  on("pointermove", (next) => {
    if (stage.pannable) stage.pan(next.clientX - last.x, next.clientY - last.y);
    last = { x: next.clientX, y: next.clientY };
  });
  on("pointercancel", () => gesture.abort());
  on("pointerup", (end) => {
    gesture.abort();
    const still = Math.hypot(end.clientX - start.x, end.clientY - start.y) < 4;
    if (still && state.view === "flicker") flip();
  });
}

function onGrip(event) {
  const grip = slider.querySelector(".grip").getBoundingClientRect();
  return event.clientX >= grip.left && event.clientX <= grip.right;
}

/** The pixel under the pointer, in both pictures. */
function onPointerMove(event) {
  const point = stage.toPicture(event.clientX, event.clientY);
  const [x, y] = [Math.floor(point.x), Math.floor(point.y)];
  const inside = x >= 0 && y >= 0 && x < record.width && y < record.height;
  byId("pointer").textContent = inside ? [`x ${x}, y ${y}`, ...samples(x, y)].join("   ") : "";
}

function samples(x, y) {
  if (state.view === "bits") {
    const place = Math.floor(y / bitsMap.position) * bitsMap.columns + Math.floor(x / bitsMap.position);
    return [`${number(bitsMap.bits[place], 1)} bits`];
  }
  return ["left", "right"].map((id) => {
    sampler.drawImage(byId(id).querySelector("img"), x, y, 1, 1, 0, 0, 1, 1);
    const [r, g, b] = sampler.getImageData(0, 0, 1, 1).data;
    return `${sidesOf(record)[state[id]].name} ${r} ${g} ${b}`;
  });
}

function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // some browsers keep nothing for files
  }
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  byId("theme").textContent = `Theme: ${theme}`;
  try {
    localStorage.setItem("vlae-theme", theme);
  } catch {
    // as above
  }
}

function nextTheme() {
  setTheme(THEMES[(THEMES.indexOf(document.documentElement.dataset.theme) + 1) % THEMES.length]);
}

function fillThumbnails() {
  const items = PICTURES.map(({ name, bpp, thumbnail }, i) => {
    const image = element("img", { alt: "", src: thumbnail });
    const rate = element("small", {}, `${number(bpp, 2)} bpp`);
    const file = name.split(/[\\/]/).pop() || name; // of a long path the end tells pictures apart
    const button = element("button", { type: "button", value: i, title: name }, image, element("span", {}, file), rate);
    button.addEventListener("click", () => open(i));
    return element("li", {}, button);
  });
  document.querySelector("#thumbnails ol").replaceChildren(...items);
  byId("thumbnails").hidden = items.length < 2;
}

function onRadios(id, chosen) {
  byId(id).addEventListener("change", (event) => chosen(event.target.value));
}

document.addEventListener("keydown", onKey, { capture: true });
document.addEventListener("keyup", (event) => event.key === " " && peek(false));
window.addEventListener("blur", () => peek(false));
stage.element.addEventListener("pointerdown", onPointerDown, { capture: true });
stage.element.addEventListener("pointermove", onPointerMove);
stage.element.addEventListener("pointerleave", () => (byId("pointer").textContent = ""));
stage.element.addEventListener("dblclick", (event) => {
  if (state.view !== "flicker") setZoom(stage.zoom === "fit" ? 2 : "fit", { x: event.clientX, y: event.clientY });
});
slider.addEventListener("slide", drawSliderValue);
byId("flip").addEventListener("click", flip);
byId("theme").addEventListener("click", nextTheme);
byId("help").addEventListener("click", KEYS["?"]);
onRadios("views", setView);
onRadios("gains", (gain) => setGain(Number(gain)));
onRadios("zooms", (zoom) => setZoom(KEY_ZOOMS[zoom] ?? zoom));
setTheme(THEMES.includes(remembered("vlae-theme")) ? remembered("vlae-theme") : "system");
fillThumbnails();
open(0);
