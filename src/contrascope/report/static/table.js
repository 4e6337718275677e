// Tables of class "sortable": headings sort, a field searches the names. Missing values stay last, up or down.
"use strict";
(() => {
  const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

  const arranged = new Map(); // table -> its rows as they were sorted, and what is searched for

  // Rows as they were sorted; while a name is searched for, those that begin with it come before those that have it inside.
  function arrange(table) {
    const { rows, wanted } = arranged.get(table);
    const isFirst = (row) => row.dataset.name.toLowerCase().startsWith(wanted);
    table.tBodies[0].append(...rows.filter(isFirst), ...rows.filter((row) => !isFirst(row)));
    for (const row of rows) row.hidden = !row.dataset.name.toLowerCase().includes(wanted);
    return rows.filter((row) => !row.hidden).length;
  }

  function valueOf(row, column) {
    const cell = row.cells[column];
    const text = cell.dataset.value ?? cell.textContent.trim();
    return text === "" ? null : text;
  }

  function compare(a, b, direction) {
    if (a === null || b === null) return (a === null) - (b === null);
    const x = Number(a), y = Number(b);
    return direction * (Number.isNaN(x) || Number.isNaN(y) ? collator.compare(a, b) : x - y);
  }

  function sort(table, column, direction) {
    const state = arranged.get(table);
    const rows = state.rows.map((row) => ({ row, value: valueOf(row, column) }));
    rows.sort((a, b) => compare(a.value, b.value, direction));
    state.rows = rows.map(({ row }) => row);
    arrange(table);
    [...table.tHead.rows[0].cells].forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
  }

  // A first click brings up what is looked for first: the largest effect, but the smallest p and the first name.
  function firstDirection(head) {
    return head.classList.contains("number") && !/^[pq]\b/.test(head.textContent) ? -1 : 1;
  }

  function makeSortable(table) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.querySelector("button").addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const direction = now ? (now === "ascending" ? -1 : 1) : firstDirection(head);
        sort(table, column, direction);
      });
    });
  }

  function choose(table, row) {
    document.dispatchEvent(
      new CustomEvent("contrascope:perturbation", { detail: { name: row.dataset.name, from: table.id } }),
    );
  }

  function makeSearchable(field) {
    const table = document.getElementById(field.dataset.searches);
    const count = document.querySelector(`[data-counts="${table.id}"]`);
    const search = () => {
      arranged.get(table).wanted = field.value.trim().toLowerCase();
      const found = arrange(table);
      count.textContent = `${found.toLocaleString("en")} of ${table.tBodies[0].rows.length.toLocaleString("en")}`;
    };
    field.closest("[hidden]")?.removeAttribute("hidden");
    field.addEventListener("input", search);
    field.addEventListener("keydown", (event) => {
      const exact = [...table.tBodies[0].rows].filter((row) => row.dataset.name.toLowerCase() === field.value.trim().toLowerCase());
      const first = exact[0] ?? table.querySelector("tbody tr:not([hidden])");
      if (event.key === "Enter" && first) choose(table, first);
    });
    search();
  }

  function follow(table) {
    table.tBodies[0].addEventListener("click", (event) => {
      const link = event.target.closest("th a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      choose(table, link.closest("tr"));
    });
    document.addEventListener("contrascope:perturbation", ({ detail }) => {
      for (const row of table.tBodies[0].rows) {
        if (row.dataset.name === detail.name) row.setAttribute("aria-current", "true");
        else row.removeAttribute("aria-current");
      }
    });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    arranged.set(table, { rows: [...table.tBodies[0].rows], wanted: "" });
    makeSortable(table);
    follow(table);
  }
  document.querySelectorAll("[data-searches]").forEach(makeSearchable);
})();
