(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Tables: a click on a heading sorts; numbers fall, texts rise, a second click turns the order around.
  for (const table of all("table.sortable")) {
    const body = table.tBodies[0];
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const number = head.classList.contains("n");
        const before = head.getAttribute("aria-sort");
        const down = before ? before === "ascending" : number;
        const value = row => {
          const cell = row.cells[column];
          return number ? Number(cell.dataset.v ?? "-1e9") : cell.textContent.trim();
        };
        const sign = down ? -1 : 1;
        const rows = [...body.rows].sort((a, b) => {
          const [x, y] = [value(a), value(b)];
          return sign * (number ? x - y : x.localeCompare(y, undefined, {numeric: true}));
        });
        all("thead th", table).forEach(other => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        body.append(...rows);
      });
    });
  }

  // Filters of the matches.
  const form = document.querySelector("form.filters");
  if (form) {
    const pairs = all(".pair[data-c]"), count = form.querySelector("output");
    const apply = () => {
      const [category, outcome, keypoint] = ["category", "outcome", "keypoint"].map(name => form.elements[name].value);
      const has = (text, one) => !one || text.split(" ").includes(one);
      let shown = 0;
      for (const pair of pairs) {
        const fits = has(pair.dataset.c, category) && has(pair.dataset.o, outcome) && has(pair.dataset.k, keypoint);
        pair.hidden = !fits;
        shown += fits;
        for (const mark of all(".m", pair)) {
          const off = (outcome && mark.dataset.o && mark.dataset.o !== outcome) || (keypoint && mark.dataset.k !== keypoint);
          mark.classList.toggle("dim", Boolean(off));
        }
      }
      for (const group of all(".group")) group.hidden = all(".pair", group).every(pair => pair.hidden);
      count.textContent = `${shown} of ${pairs.length} pairs`;
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("reset", () => setTimeout(apply));
    form.addEventListener("submit", event => event.preventDefault());
    apply();
  }

  // Marks: one stop of the Tab key per picture, arrow keys inside it.
  for (const view of all(".view")) {
    const marks = all(".m", view);
    marks.forEach((mark, place) => {
      mark.tabIndex = place ? -1 : 0;
      mark.addEventListener("keydown", event => {
        const step = {ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1}[event.key];
        if (!step) return;
        event.preventDefault();
        marks[(place + step + marks.length) % marks.length].focus();
      });
    });
  }
  // An enlarged pair keeps the focus; closing it (Escape, Close, Back) returns to the pair in its place.
  const enlarged = () => document.querySelector(".pair:target");
  addEventListener("keydown", event => {
    if (event.key === "Escape" && enlarged()) location.hash = "#matches";
  });
  addEventListener("focusin", event => {
    const open = enlarged();
    if (open && !open.contains(event.target)) open.querySelector(".close").focus();
  });
  addEventListener("hashchange", event => {
    const left = document.getElementById(new URL(event.oldURL).hash.slice(1));
    if (!left?.matches(".pair") || enlarged()) return;
    left.scrollIntoView({block: "center", behavior: "instant"});
    left.querySelector(".enlarge").focus({preventScroll: true});
  });

  // Paper: folded parts are opened.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open]):not(.queries)");
    opened.forEach(part => { part.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach(part => { part.open = false; }));
})();
