// Boxes that are narrower than what they hold: `data-more` says on which sides there is more, where the style fades them.
"use strict";
(() => {
  const SLACK = 2; // CSS pixels, of rounding

  function tell(box) {
    const after = box.scrollWidth - box.clientWidth - box.scrollLeft;
    const sides = [box.scrollLeft > SLACK && "left", after > SLACK && "right"].filter(Boolean);
    box.dataset.more = sides.join(" ");
    if (box.scrollWidth > box.clientWidth + SLACK) box.tabIndex = 0; // so that arrows scroll it
  }

  const watching = new ResizeObserver((changes) => {
    for (const { target } of changes) tell(target.matches(".scroll, .sheet") ? target : target.parentElement);
  });
  for (const box of document.querySelectorAll(".scroll, .sheet")) {
    box.addEventListener("scroll", () => tell(box), { passive: true });
    for (const watched of [box, ...box.children]) watching.observe(watched);
  }
})();
