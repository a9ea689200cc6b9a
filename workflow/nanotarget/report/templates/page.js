// Sorts a table by the column whose heading is pressed, and unfolds everything on paper.
// Without script the page lacks nothing else.
"use strict";
(() => {
  const ORDERS = { ascending: "descending", descending: null };

  // First number of a cell, as it is written for people; NaN where there is none.
  const size = text => {
    const found = text.replace(/−/g, "-").match(/-?(?:∞|\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)/);
    if (!found) return NaN;
    const value = Number(found[0].replace(/,/g, "").replace("∞", "Infinity"));
    return text.startsWith("<") ? value / 2 : value;
  };

  // Cells without a number stay at the end whatever the order.
  const compare = (a, b, numeric, sign) => {
    if (!numeric) return sign * a.localeCompare(b, "en", { numeric: true });
    const [x, y] = [size(a), size(b)];
    if (isNaN(x) || isNaN(y)) return isNaN(x) - isNaN(y);
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  };

  const sort = (table, heading, rows) => {
    const order = heading.hasAttribute("aria-sort") ? ORDERS[heading.getAttribute("aria-sort")] : "ascending";
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    if (order) heading.setAttribute("aria-sort", order);
    const numeric = heading.classList.contains("numeric");
    const text = row => row.cells[heading.cellIndex].textContent.trim();
    for (const [body, original] of rows) {
      const sorted = order
        ? [...original].sort((a, b) => compare(text(a), text(b), numeric, order === "ascending" ? 1 : -1))
        : original;
      body.append(...sorted); // the heading of a group stays where it is: first
    }
  };

  for (const table of document.querySelectorAll(".table table")) {
    const rows = [...table.tBodies].map(body => [body, [...body.querySelectorAll("tr:not(.group)")]]);
    if (!rows.some(([, original]) => original.length > 1)) continue;
    for (const heading of table.tHead.rows[0].cells) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, rows));
      heading.append(button);
    }
    const hint = document.createElement("span");
    hint.className = "hidden";
    hint.textContent = " (the buttons in the headings sort it)";
    table.caption.append(hint);
  }
})();
