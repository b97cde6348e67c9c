"use strict";
(() => {
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const plots = [...document.querySelectorAll(".plot")];
  const select = document.getElementById("score");
  const phone = matchMedia("(max-width: 40rem)");

  // "--m0" and "--m0/0.16" stand for a CSS custom property, and for it at an opacity.
  const colour = (text) => {
    const [name, opacity] = text.split("/");
    const hex = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    if (!opacity) return hex;
    const [r, g, b] = [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16));
    return `rgba(${r}, ${g}, ${b}, ${opacity})`;
  };

  const resolve = (value) => {
    if (typeof value === "string") return value.startsWith("--") ? colour(value) : value;
    if (Array.isArray(value)) return value.map(resolve);
    if (value === null || typeof value !== "object") return value;
    return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, resolve(part)]));
  };

  const axis = (own) => ({
    gridcolor: "--grid", linecolor: "--line", zerolinecolor: "--line", tickcolor: "--line",
    spikecolor: "--muted", spikethickness: 1, spikedash: "solid", fixedrange: true, ...own,
    title: { standoff: 8, font: { size: 12, color: "--muted" }, ...own.title },
  });

  const layout = (own) => ({
    ...own,
    autosize: true, showlegend: false, dragmode: false,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: own.margin,
    font: { family: getComputedStyle(document.body).fontFamily, size: phone.matches ? 11 : 12, color: "--soft" },
    hoverlabel: { bgcolor: "--panel", bordercolor: "--line", font: { color: "--ink" }, namelength: -1 },
    xaxis: axis({ showgrid: false, ...own.xaxis }),
    yaxis: axis(own.yaxis),
  });

  const chosen = () => ({
    run: document.querySelector('input[name="run"]:checked')?.value ?? "0",
    score: select?.value ?? "",
  });

  const draw = (plot) => {
    const { run, score } = chosen();
    const spec = figures[plot.dataset.figure.replace("{run}", run).replace("{score}", score)];
    plot.hidden = !spec;
    if (spec) Plotly.react(plot, resolve(spec.data), resolve(layout(spec.layout)), { displayModeBar: false, responsive: true });
  };

  const show = () => {
    const { run, score } = chosen();
    for (const part of document.querySelectorAll("[data-run]")) {
      part.hidden = part.dataset.run !== run || (part.dataset.score ?? score) !== score;
    }
    for (const row of document.querySelectorAll("[data-row]")) {
      row.classList.toggle("chosen", row.dataset.row === score);
    }
    for (const figure of document.querySelectorAll("[data-confusion]")) {
      const key = `confusion-${figure.dataset.confusion}:${run}`;
      figure.hidden = !(key in figures) && !figure.querySelector("[data-run]:not([hidden])");
    }
    plots.filter((plot) => plot.dataset.figure.includes("{")).forEach(draw);
  };

  document.querySelectorAll('input[name="run"]').forEach((input) => input.addEventListener("change", show));
  select?.addEventListener("change", show);
  for (const query of [matchMedia("(prefers-color-scheme: dark)"), phone]) {
    query.addEventListener("change", () => plots.forEach(draw));
  }
  plots.filter((plot) => !plot.dataset.figure.includes("{")).forEach(draw);
  show();
})();
