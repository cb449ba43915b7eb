"use strict";
// The grid of images: thumbnails by falling score, thresholds that move, filters, a larger view, decisions as csv.
(() => {
  const data = JSON.parse(document.getElementById("grid-data").textContent);
  const WORDS = { pass: "pass", review: "review", reject: "reject", not_judged: "not judged" };
  const at = (id) => document.getElementById(id);
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };

  // --- what is shown: a method's images, each with its band (the verdict at the thresholds); shown are the places of
  // those that pass the filters, of which the first so many have a card in the list
  const MORE = 200; // cards added at once: a list of thousands is slow to lay out
  let method, images, stops, shown = [], listed = 0, current = 0, open = null;
  const limits = { reject: 0, review: 0 };
  const calibrated = () => limits.reject === method.reject && limits.review === method.review;
  const judged = (image) => image.verdict !== "not_judged" && image.score !== undefined;
  const byScore = (score) => (score > limits.reject ? "reject" : score > limits.review ? "review" : "pass");
  const bandOf = (image) => (!judged(image) || calibrated() ? image.verdict : byScore(image.score));
  const mistake = (image, band) =>
    image.label === 1 && band === "pass" ? "escape" : image.label === 0 && band === "reject" ? "overkill" : "";

  // Thresholds that judge the images differently: between any two scores and beyond either end the calibrated ones that
  // lie there, else the middle.
  function stopsOf(all) {
    const scores = [...new Set(all.filter(judged).map((image) => image.score))].sort((a, b) => a - b);
    if (!scores.length) scores.push(0);
    const beyond = (scores.at(-1) - scores[0]) / 50 || Math.abs(scores[0]) / 50 || 1;
    const ends = [scores[0] - beyond, ...scores, scores.at(-1) + beyond];
    for (const name of ["reject", "review"]) method[name] ??= ends.at(-1); // none: nothing is above it
    const kept = [method.review, method.reject];
    const middles = ends.slice(1).map((high, i) => [ends[i], (ends[i] + high) / 2, high]);
    const free = middles.filter(([low, , high]) => !kept.some((limit) => low <= limit && limit < high));
    return [...new Set([...free.map(([, middle]) => middle), ...kept])].sort((a, b) => a - b);
  }

  function choose(index) {
    method = data.methods[index];
    images = method.images;
    stops = stopsOf(images);
    for (const name of ["reject", "review"]) at(`limit-${name}`).max = stops.length - 1;
    const kept = document.querySelectorAll(`${method.section} [data-image]`);
    method.atLength = new Map([...kept].map((figure) => [figure.dataset.image, figure]));
    [shown, current] = [[], 0];
    fillKinds();
    reset();
  }

  // --- cards
  const cardOf = (index) => images[index].card ?? makeCard(images[index], index);

  function list() {
    listed = 0;
    at("cards").replaceChildren();
    more();
  }

  function more() {
    const next = shown.slice(listed, listed + MORE);
    at("cards").append(...next.map(cardOf));
    listed += next.length;
  }

  function moreNearTheEnd({ target }) {
    if (target.scrollTop + 3 * target.clientHeight > target.scrollHeight) more();
  }

  function makeCard(image, index) {
    const source = data.thumbnails[image.name];
    const frame = make("span", { className: "frame" });
    if (source) {
      const photograph = make("img", { src: source, alt: `photograph of ${image.name}`, loading: "lazy", decoding: "async" });
      photograph.onload = () => isWide(photograph) && at("cards").classList.add("wide");
      frame.append(photograph);
    }
    if (image.heat) frame.append(make("img", { className: "heat", src: image.heat, alt: "", loading: "lazy", decoding: "async" }));
    image.chip = make("span", { className: "chip" });
    image.flag = make("span", { className: "flag" });
    const told = `${image.name.split("/").at(-1)} ${data.labelled ? kindOf(image) : ""}`;
    const name = make("span", { className: "name path", textContent: told });
    const facts = make("span", { className: "facts", textContent: image.score === undefined ? "" : short(image.score) });
    image.button = make("button", { type: "button", tabIndex: -1, title: image.name }, frame, image.chip, facts, image.flag, name);
    image.button.dataset.index = index;
    image.card = make("li", { className: "card" }, image.button);
    tellBand(image);
    if (!data.labelled && (image.verdict === "review" || image.verdict === "reject")) image.card.append(marks(image));
    return image.card;
  }

  const isWide = (picture) => picture.naturalWidth > 3 * picture.naturalHeight;

  const short = (score) => Number(score.toPrecision(4)).toString();

  // --- thresholds
  function move(name, value) {
    limits[name] = value;
    if (name === "reject") limits.review = Math.min(limits.review, value);
    else limits.reject = Math.max(limits.reject, value);
    update();
  }

  function reset() {
    Object.assign(limits, { reject: method.reject, review: method.review });
    update();
  }

  function update() {
    for (const name of ["reject", "review"]) {
      at(`limit-${name}`).value = stops.indexOf(limits[name]);
      at(`limit-${name}`).setAttribute("aria-valuetext", `score ${short(limits[name])}`);
      at(`value-${name}`).textContent = short(limits[name]);
    }
    for (const image of images) setBand(image, bandOf(image));
    tellCounts();
    tellCost();
    filter();
  }

  function setBand(image, band) {
    if (image.band === band) return;
    image.band = band;
    if (image.card) tellBand(image);
  }

  function tellBand(image) {
    image.chip.className = `chip ${image.band}`;
    image.chip.textContent = WORDS[image.band] ?? image.band;
    image.flag.textContent = mistake(image, image.band);
  }

  function tellCounts() {
    const groups = data.labelled ? [["good", 0], ["defective", 1]] : [["all", undefined]];
    const rows = groups.map(([title, label]) => {
      const inside = images.filter((image) => image.label === label);
      const cells = Object.keys(WORDS).map((band) => make("td", { textContent: inside.filter((i) => i.band === band).length }));
      return make("tr", {}, make("th", { scope: "row", textContent: title }), ...cells);
    });
    at("bands").tBodies[0].replaceChildren(...rows);
    at("told").textContent = data.labelled
      ? `Escapes (defective, pass): ${count("escape")}. Overkill (good, reject): ${count("overkill")}.`
      : "Labels are not known: nobody has said which of these images are good, so neither escapes nor overkill can be counted.";
    const other = images.filter((image) => judged(image) && image.verdict !== byScore(image.score)).length;
    at("moved").textContent = !calibrated()
      ? "Moved: the images are judged by their scores alone."
      : other
        ? `At these thresholds ${other} verdicts hang on more than the score, such as the size of regions; moved ones go by the score alone.`
        : "";
  }

  const count = (name) => images.filter((image) => mistake(image, image.band) === name).length;

  function tellCost() {
    if (!data.labelled) return;
    const [escape, overkill, review] = ["escape", "overkill", "review"].map((name) => at(`cost-${name}`).valueAsNumber);
    const reviews = images.filter((image) => image.band === "review").length;
    const total = escape * count("escape") + overkill * count("overkill") + review * reviews;
    at("cost").textContent = Number.isNaN(total)
      ? "Fill in all three to see what these test images cost."
      : `Cost of these ${images.length} test images: ${Number(total.toPrecision(6))}. A line has other shares of good and defective parts.`;
  }

  // --- filters
  const kindOf = (image) => (image.label === 0 ? "good" : image.defect || "defective");

  function fillKinds() {
    if (!data.labelled) return;
    const kinds = [...new Set(images.map(kindOf))].sort();
    const all = at("kind").options[0];
    at("kind").replaceChildren(all, ...kinds.map((kind) => make("option", { value: kind, textContent: kind })));
  }

  function filter() {
    const ticked = new Set([...document.querySelectorAll("input[name=verdict]:checked")].map((box) => box.value));
    const text = at("search").value.trim().toLowerCase();
    const kind = data.labelled ? at("kind").value : "";
    const mistakes = data.labelled && at("mistakes").checked;
    const passes = (image) =>
      ticked.has(image.band) && image.name.toLowerCase().includes(text) && (!kind || kindOf(image) === kind) &&
      (!mistakes || mistake(image, image.band));
    const before = shown.join();
    shown = images.flatMap((image, index) => (passes(image) ? [index] : []));
    at("shown").textContent = `${shown.length} of ${images.length} images shown.`;
    if (shown.join() === before && shown.length) return;
    list();
    rove(shown.includes(current) ? current : shown[0], false);
  }

  // --- keys: one card is in the order of tabs, arrows go on from it
  function rove(index, focus = true) {
    const tabbed = (place, tabIndex) => images[place].card?.querySelectorAll("button").forEach((button) => { button.tabIndex = tabIndex; });
    tabbed(current, -1);
    if (index === undefined) return;
    while (listed <= shown.indexOf(index)) more();
    current = index;
    tabbed(index, 0);
    if (focus) images[index].button.focus();
  }

  // The image so many shown ones on, or the last one on that side.
  function onward(index, steps) {
    const place = shown.indexOf(index) + steps;
    return shown[Math.max(0, Math.min(shown.length - 1, place))];
  }

  const columns = () => getComputedStyle(at("cards")).gridTemplateColumns.split(" ").length;
  const STEPS = {
    ArrowRight: () => 1, ArrowLeft: () => -1, ArrowDown: columns, ArrowUp: () => -columns(),
    Home: () => -images.length, End: () => images.length,
  };

  function keyOnCards(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !(event.key in STEPS) || !event.target.dataset.index) return;
    event.preventDefault();
    rove(onward(current, STEPS[event.key]()));
  }

  const typing = (event) => event.target.matches("input:not([type=checkbox], [type=range]), select, textarea");

  function keyAnywhere(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || typing(event)) return;
    const isLarge = at("large").open;  // its event that it was closed comes later than the next key
    if (event.key.toLowerCase() === "m" && !isLarge) {
      at("heated").checked = !at("heated").checked;
      showHeat();
    }
    if (isLarge) keyInLarge(event);
  }

  function keyInLarge(event) {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const said = { g: "good", d: "defective" }[event.key.toLowerCase()];
    if (step) show(onward(open, step));
    else if (said && !data.labelled) decide(images[open], { decision: said });
    else return;
    event.preventDefault();
  }

  const showHeat = () => at("cards").classList.toggle("heated", at("heated").checked);

  // --- the larger view
  function show(index) {
    const image = images[index];
    open = index;
    at("large-name").textContent = image.name;
    const place = `score ${image.score === undefined ? "\u2013" : short(image.score)}`;
    const truth = image.label === undefined ? "" : `, ${image.label ? `defective${image.defect ? ` (${image.defect})` : ""}` : "good"}`;
    const chip = make("span", { className: `chip ${image.band}`, textContent: WORDS[image.band] ?? image.band });
    at("large-facts").replaceChildren(chip, ` ${place}${truth}${image.reason ? `; ${image.reason}` : ""}`);
    at("large-pictures").replaceChildren(...pictures(image));
    if (!data.labelled) {
      at("note").value = decisions.get(image.name)?.note ?? "";
      document.querySelector("#large-decision .marks").replaceWith(marks(image));
      document.querySelectorAll("#large-decision button").forEach((button) => { button.tabIndex = 0; });
    }
    if (!at("large").open) at("large").showModal();
  }

  // What the page holds of an image: a strip that stands on it, larger pictures, or the thumbnail; the map with any.
  function pictures(image) {
    const kept = [...(method.atLength.get(image.name)?.querySelectorAll("img") ?? [])];
    const photograph = data.photographs[image.name];
    let drawn = kept.map((one) => figure(one.src, one.nextElementSibling?.textContent ?? "what was found", image));
    if (!drawn.length && photograph) {
      drawn = [figure(photograph, "photograph", image)];
      if (image.regions) drawn.push(boxed(figure(photograph, "regions", image), image.regions));
    } else if (!drawn.length && data.thumbnails[image.name]) {
      drawn = [figure(data.thumbnails[image.name], "photograph, small", image)];
    }
    if (image.file) drawn[0] = fromFile(image, drawn[0]);
    const map = image.map ?? image.heat;
    if (map && !kept.some((one) => one.alt.startsWith("anomaly map"))) drawn.push(figure(map, "anomaly map", image));
    return drawn;
  }

  function figure(source, caption, image) {
    const picture = make("img", { src: source, alt: `${caption} of ${image.name}` });
    const boxes = make("span", { className: "boxes" }, picture);
    picture.onload = () => {
      boxes.style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
      at("large-pictures").classList.toggle("wide", isWide(picture));
    };
    return make("figure", {}, boxes, make("figcaption", { textContent: caption }));
  }

  function boxed(drawn, regions) {
    const boxes = regions.map(([y, x, height, width]) => {
      const box = make("i", {});
      Object.assign(box.style, { top: `${100 * y}%`, left: `${100 * x}%`, height: `${100 * height}%`, width: `${100 * width}%` });
      return box;
    });
    drawn.firstElementChild.append(...boxes);
    return drawn;
  }

  // The picture that lies beside the page, in the photograph's size, where it still lies there.
  function fromFile(image, instead) {
    const drawn = figure(image.file, "what was found", image);
    const picture = drawn.querySelector("img");
    const link = make("a", { href: image.file, textContent: "file" });
    picture.addEventListener("load", () => drawn.querySelector("figcaption").append(" (", link, ")"));
    picture.addEventListener("error", () => (instead ? drawn.replaceWith(instead) : drawn.remove()));
    return drawn;
  }

  function hide() {
    const last = open;
    open = null;
    if (last !== null) rove(last);
  }

  // --- decisions
  const decisions = new Map(); // name -> {decision, note}
  const store = {
    key: `flawline decisions ${data.key}`,
    read() {
      try { return JSON.parse(localStorage.getItem(this.key) ?? "[]"); } catch { return []; }
    },
    write() {
      try { localStorage.setItem(this.key, JSON.stringify([...decisions])); } catch { /* kept while the page is open */ }
    },
  };

  function marks(image) {
    const buttons = data.decisions.map((word) => {
      const button = make("button", { type: "button", tabIndex: -1, textContent: word, onclick: () => decide(image, { decision: word }) });
      button.setAttribute("aria-label", `${word}: ${image.name}`);
      button.dataset.decision = word;
      return button;
    });
    const row = make("span", { className: "marks" }, ...buttons);
    row.dataset.of = image.name;
    press(row);
    return row;
  }

  function press(row) {
    const said = decisions.get(row.dataset.of)?.decision;
    for (const button of row.children) button.setAttribute("aria-pressed", button.dataset.decision === said);
  }

  // A decision that is said again is taken back.
  function decide(image, change) {
    const before = decisions.get(image.name) ?? { decision: "", note: "" };
    const after = { ...before, ...change };
    if (change.decision && change.decision === before.decision) after.decision = "";
    if (after.decision || after.note) decisions.set(image.name, after);
    else decisions.delete(image.name);
    store.write();
    tellDecisions();
  }

  function tellDecisions(more = "") {
    document.querySelectorAll(".marks[data-of]").forEach(press);
    const asked = images.filter((image) => image.verdict === "review" || image.verdict === "reject");
    const done = asked.filter((image) => decisions.get(image.name)?.decision).length;
    at("decided").textContent = `${done} of ${asked.length} decided.${more}`;
  }

  // --- csv
  const quoted = (cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);

  function toCsv() {
    const rows = images.filter((image) => decisions.has(image.name)).map((image) => {
      const row = { image: image.name, ...image, ...decisions.get(image.name) };
      return data.columns.map((column) => String(row[column] ?? ""));
    });
    return [data.columns, ...rows].map((row) => row.map(quoted).join(",") + "\r\n").join("");
  }

  function fromCsv(text) {
    const rows = [[""]];
    let inside = false;
    for (let i = 0; i < text.length; i++) {
      const sign = text[i], row = rows.at(-1);
      if (inside && sign === '"' && text[i + 1] === '"') row[row.length - 1] += text[++i];
      else if (sign === '"') inside = !inside;
      else if (inside) row[row.length - 1] += sign;
      else if (sign === ",") row.push("");
      else if (sign === "\n") rows.push([""]);
      else if (sign !== "\r") row[row.length - 1] += sign;
    }
    return rows.filter((row) => row.length > 1 || row[0]);
  }

  function save() {
    const address = URL.createObjectURL(new Blob([toCsv()], { type: "text/csv" }));
    make("a", { href: address, download: "decisions.csv" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  }

  function load(text) {
    const [head, ...rows] = fromCsv(text.replace(/^\ufeff/, ""));
    const missing = data.columns.filter((column) => !head?.includes(column));
    if (missing.length) return tellDecisions(` Nothing was loaded: the file lacks ${missing.join(", ")}; wanted a table that this page saved.`);
    const known = new Map(images.map((image) => [image.name, image]));
    let taken = 0;
    for (const cells of rows) {
      const row = Object.fromEntries(head.map((column, i) => [column, cells[i] ?? ""]));
      const image = known.get(row.image);
      if (!image || (image.sha256 ?? "") !== row.sha256 || !["", ...data.decisions].includes(row.decision)) continue;
      decisions.set(row.image, { decision: row.decision, note: row.note });
      taken++;
    }
    store.write();
    const others = rows.length - taken;
    return tellDecisions(` ${taken} loaded${others ? `; ${others} rows are of other images, or say something else than ${data.decisions.join(" or ")}` : ""}.`);
  }

  // --- everything tied together
  for (const name of ["reject", "review"]) at(`limit-${name}`).addEventListener("input", (e) => move(name, stops[e.target.value]));
  at("reset").addEventListener("click", reset);
  at("controls").addEventListener("submit", (event) => event.preventDefault());
  document.querySelector(".filters").addEventListener("input", filter);
  at("heated").addEventListener("change", showHeat);
  at("cards").addEventListener("click", (event) => {
    const button = event.target.closest("button[data-index]");
    if (button) show(Number(button.dataset.index));
  });
  at("cards").addEventListener("keydown", keyOnCards);
  at("cards").addEventListener("scroll", moreNearTheEnd);
  at("cards").addEventListener("focusin", (event) => event.target.dataset.index && rove(Number(event.target.dataset.index), false));
  document.addEventListener("keydown", keyAnywhere);
  at("large").addEventListener("close", hide);
  at("close").addEventListener("click", () => at("large").close());
  at("previous").addEventListener("click", () => show(onward(open, -1)));
  at("next").addEventListener("click", () => show(onward(open, 1)));
  at("method")?.addEventListener("change", (event) => choose(Number(event.target.value)));
  if (data.labelled) {
    for (const input of document.querySelectorAll("[data-cost]")) input.value = input.dataset.cost;
    document.querySelector(".costs").addEventListener("input", tellCost);
  } else {
    for (const [name, said] of store.read()) decisions.set(name, said);
    at("save").addEventListener("click", save);
    at("load").addEventListener("change", async (event) => {
      const [file] = event.target.files;
      if (file) load(await file.text());
      event.target.value = "";
    });
    at("note").addEventListener("input", (event) => decide(images[open], { note: event.target.value }));
  }
  at("explorer").hidden = false;
  choose(0);
  if (!data.labelled) tellDecisions();
})();
