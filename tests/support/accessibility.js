// Looks at a page as it is drawn and returns one sentence for each thing that keeps somebody from using it.
() => {
  const problems = [];
  const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const name = (element) => `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}">`;
  const all = (selector) => [...document.querySelectorAll(selector)];

  // Landmarks, titles, order of headings (WCAG 1.3.1, 2.4.1, 2.4.2, 3.1.1).
  for (const landmark of ["header", "main", "footer", "nav[aria-label]"]) {
    if (!document.querySelector(landmark)) problems.push(`there is no ${landmark}`);
  }
  if (!document.documentElement.lang) problems.push("the page has no language");
  if (!document.title) problems.push("the page has no title");
  if (all("h1").length !== 1) problems.push(`there are ${all("h1").length} h1`);
  let level = 0;
  for (const heading of all("h1, h2, h3, h4")) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) problems.push(`${heading.textContent} skips a level`);
    level = next;
  }

  // Names (1.1.1, 4.1.2), ids (4.1.1), tables (1.3.1).
  const labelled = (element) =>
    element.getAttribute("aria-label") ||
    (element.getAttribute("aria-labelledby") ?? "").split(" ").some((id) => document.getElementById(id)?.textContent) ||
    element.labels?.length;
  for (const element of all("a, button, summary")) {
    if (!element.textContent.trim() && !labelled(element)) problems.push(`${name(element)} has no name`);
  }
  for (const element of all("input:not([type=hidden]), textarea, select, [role=group], [role=log], [role=img], nav, pre[tabindex], ol[tabindex]")) {
    if (!labelled(element)) problems.push(`${name(element)} has no label`);
  }
  for (const element of all("pre[aria-label], div[aria-label], span[aria-label], p[aria-label]")) {
    if (!element.getAttribute("role")) problems.push(`${name(element)} has a label, but no role that has one`);
  }
  const landmarks = all("section[aria-label], section[aria-labelledby], nav, [role=search], [role=region]").map(
    (one) => one.getAttribute("aria-label") ?? document.getElementById(one.getAttribute("aria-labelledby"))?.textContent,
  );
  for (const label of new Set(landmarks.filter((one, index) => landmarks.indexOf(one) !== index))) {
    problems.push(`two landmarks are called ${label}`);
  }
  for (const link of all("p a:not(.button)")) {
    const alone = link.parentElement.textContent.trim() === link.textContent.trim();
    if (seen(link) && !alone && getComputedStyle(link).textDecorationLine !== "underline") {
      problems.push(`a link within text is told by its colour alone: ${link.textContent}`);
    }
  }
  for (const element of all("svg")) {
    if (!element.closest("[aria-hidden=true]") && element.getAttribute("role") !== "img") {
      problems.push("a picture is neither named nor hidden");
    }
  }
  const ids = all("[id]").map((element) => element.id);
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index))) problems.push(`id ${id} is there twice`);
  for (const cell of all("thead th")) {
    if (cell.getAttribute("scope") !== "col" || !cell.textContent.trim()) problems.push("a column has no head");
  }

  // What scrolls within the page can be scrolled with the keyboard (2.1.1).
  for (const element of all("pre, div, ol")) {
    const scrolls = getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1;
    if (scrolls && seen(element) && element.tabIndex < 0 && !element.querySelector("a, button")) {
      problems.push(`${name(element)} scrolls, but not by keys`);
    }
  }

  // Targets of at least 24 pixels, or as much room (2.5.8); links within a line of text are excepted.
  for (const element of all("button, input, select, summary, nav a, a.button")) {
    const box = element.getBoundingClientRect();
    if (seen(element) && (box.width < 24 || box.height < 24)) problems.push(`${name(element)} is ${box.width}x${box.height}`);
  }

  // Contrast of every text with what lies behind it (1.4.3), and of what bounds a control (1.4.11).
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (front, back) => [0, 1, 2].map((index) => front[index] * front[3] + back[index] * (1 - front[3])).concat(1);
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      const layer = rgba(getComputedStyle(one).backgroundColor);
      layers.push(layer);
      if (layer[3] === 1) break;
    }
    return layers.reverse().reduce((back, front) => over(front, back), [255, 255, 255, 1]);
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const contrast = (one, other) => {
    const [high, low] = [light(one), light(other)].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const told = new Set();
  for (const element of all("body *")) {
    const hasText = [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!hasText || !seen(element) || element.closest("svg, .unseen, option, noscript, template")) continue;
    const style = getComputedStyle(element);
    const ratio = contrast(over(rgba(style.color), behind(element)), behind(element));
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) told.add(`${name(element)} "${element.textContent.trim().slice(0, 20)}" has ${ratio.toFixed(2)}:1`);
  }
  for (const element of all("input, select, .search .button")) {
    if (!seen(element)) continue;
    const ratio = contrast(rgba(getComputedStyle(element).borderTopColor), behind(element.parentElement));
    if (ratio < 3) told.add(`${name(element)} is bounded by ${ratio.toFixed(2)}:1`);
  }
  for (const element of all("path.bar, path.line, .stages rect:not(.rest)")) {
    const style = getComputedStyle(element);
    const colour = style.fill === "none" ? style.stroke : style.fill;
    const ratio = contrast(rgba(colour), behind(element.closest("figure, section")));
    if (ratio < 3) told.add(`${name(element)} is drawn in ${ratio.toFixed(2)}:1`);
  }
  return [...problems, ...told];
}
