/* The tables beside and below the pictures. Names of files and codecs come in only as text. */

/** An element with attributes and children; a string child is text. */
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

function number(value, digits = 0) {
  const text = value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  return text.replace("-", "−");
}

function signed(value, digits) {
  const text = number(Math.abs(value), digits);
  return Number(text) === 0 ? `±${text}` : (value < 0 ? "−" : "+") + text;
}

function decibels(psnr) {
  return psnr === null ? "∞" : number(psnr, 2);
}

/** The pictures that can stand left and right: the original, then every codec's. */
function sidesOf(record) {
  return [{ name: "original", image: record.image, original: true }, ...record.contenders];
}

/** Which picture is left and which is right, as a table of radio buttons; `picked(side, index)` on a choice. */
function fillChooser(table, record, state, picked) {
  const radio = (side, index, name) => {
    const input = element("input", { type: "radio", name: side, value: index, "aria-label": `${name} ${side}` });
    input.checked = state[side] === index;
    input.addEventListener("change", () => picked(side, index));
    return element("td", {}, input);
  };
  const rows = sidesOf(record).map((side, i) => {
    const figures = side.original
      ? [number(record.raw), ""]
      : [number(side.bytes), decibels(side.psnr)];
    const name = element("th", { scope: "row" }, side.name);
    return element("tr", {}, radio("left", i, side.name), radio("right", i, side.name), name,
      ...figures.map((text) => element("td", { class: "figure" }, text)));
  });
  const titles = [["L", { "aria-label": "left" }], ["R", { "aria-label": "right" }], ["picture", {}],
    ["bytes", { class: "figure" }], ["PSNR", { class: "figure" }]];
  const head = titles.map(([text, attributes]) => element("th", { scope: "col", ...attributes }, text));
  table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/** What is measured: title, key of a contender, digits, which end is best (0: neither), how it differs from vlae's. */
const MEASURES = [
  ["bytes", "bytes", 0, 0, (own, base) => `${signed(100 * (own / base - 1), 1)} %`],
  ["bits per pixel", "bpp", 4, 0, null],
  ["PSNR", "psnr", 2, 1, (own, base) => signed(own - base, 2)],
  ["MS-SSIM", "ms_ssim", 4, 1, (own, base) => signed(own - base, 4)],
  ["SSIMULACRA 2", "ssimulacra2", 2, 1, (own, base) => signed(own - base, 2)],
  ["encode, s", "encode_seconds", 3, -1, null],
  ["decode, s", "decode_seconds", 3, -1, null],
];

function value(contender, key) {
  return key === "psnr" && contender.psnr === null ? Infinity : contender[key];
}

function fillFigures(table, record) {
  const head = ["codec", "quality", ...MEASURES.map(([title]) => title)].map((title, i) =>
    element("th", i ? { scope: "col", class: "figure" } : { scope: "col" }, title));
  const rows = record.contenders.map((contender) => {
    const about = [contender.library, contender.settings].filter(Boolean).join(", ");
    const name = element("th", { scope: "row" }, contender.name, element("small", {}, about));
    const quality = element("td", { class: "figure" }, number(contender.quality, Number.isInteger(contender.quality) ? 0 : 2));
    return element("tr", {}, name, quality, ...MEASURES.map((measure) => figure(record, contender, measure)));
  });
  table.replaceChildren(element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

/** One cell: the value, marked if it is the best of its column, and how far it is from vlae's. */
function figure(record, contender, [, key, digits, best, difference]) {
  const own = value(contender, key);
  if (own === null) return element("td", { class: "figure", title: "the picture is too small for this measure" }, "–");
  const cell = element("td", { class: "figure" }, own === Infinity ? "∞" : number(own, digits));
  const all = record.contenders.map((other) => value(other, key)).filter((other) => other !== null);
  if (best && all.length > 1 && best * own === Math.max(...all.map((other) => best * other))) {
    cell.classList.add("best");
    cell.append(element("span", { class: "hidden" }, " (best)"));
  }
  const base = value(record.contenders[0], key);
  if (difference && contender !== record.contenders[0] && Number.isFinite(base) && Number.isFinite(own)) {
    cell.append(element("small", {}, difference(own, base)));
  }
  return cell;
}

/** The lines of the ledger: sign, title, key, and whether it is the sum of those above. */
const LEDGER = [
  ["", "latents", "y", false],
  ["+", "hyper-latent z", "z_gross", false],
  ["−", "bits back", "bits_back", false],
  ["=", "theory, negative ELBO", "theoretical", true],
  ["+", "coder’s overhead", "overhead", false],
  ["=", "payload", "actual", true],
  ["+", "header and checksums", "container", false],
  ["+", "metadata", "metadata", false],
  ["+", "alpha", "alpha", false],
];

function fillLedger(table, shares, record) {
  const { ledger } = record;
  const whole = ledger.container + ledger.metadata + ledger.alpha + ledger.actual;
  const line = (sign, title, bits, sum) =>
    element("tr", sum ? { class: "sum" } : {}, element("td", { class: "sign" }, sign),
      element("th", { scope: "row" }, title), element("td", { class: "figure" }, number(bits, 1)),
      element("td", { class: "figure share" }, `${number((100 * bits) / whole, 1)} %`));
  const lines = LEDGER.map(([sign, title, key, sum]) => line(sign, title, ledger[key], sum));
  const head = ["", "", "bits", "of the file"].map((title) =>
    element(title ? "th" : "td", title ? { scope: "col", class: "figure" } : {}, title));
  table.replaceChildren(
    element("thead", {}, element("tr", {}, ...head)),
    element("tbody", {}, ...lines, line("=", "file", whole, true)));
  fillShares(shares, ledger, whole);
}

/** The file as one bar: what is in it, to scale. */
function fillShares(bar, ledger, whole) {
  const parts = [
    ["latents", ledger.y],
    ["z after bits back", ledger.z_gross - ledger.bits_back],
    ["container", ledger.container + ledger.overhead],
    ["metadata and alpha", ledger.metadata + ledger.alpha],
  ].filter(([, bits]) => bits > 0);
  bar.setAttribute("aria-label", parts.map(([title, bits]) => `${title} ${number((100 * bits) / whole, 1)} %`).join(", "));
  bar.replaceChildren(...parts.map(([title, bits]) => {
    const part = element("span", { title: `${title}: ${number(bits / 8, 0)} bytes` });
    part.style.flexGrow = bits / whole;
    return part;
  }));
}
