"""How an annotator looks: one style sheet, with the colours of the page's theme."""

from __future__ import annotations

import ipywidgets as widgets

# JupyterLab, Notebook 7 and Voila set the --jp- variables, for light and dark; the values after them serve elsewhere.
_CSS = """
.msam-annotator {
  --msam-text: var(--jp-ui-font-color1, #222); --msam-faint: var(--jp-ui-font-color2, #666);
  --msam-line: var(--jp-border-color2, #ccc); --msam-ground: var(--jp-layout-color1, #fff);
  --msam-raised: var(--jp-layout-color2, #eee); --msam-brand: var(--jp-brand-color1, #1976d2);
  --msam-error: var(--jp-error-color1, #c62828);
  width: 100%; min-width: 0; color: var(--msam-text); overflow: hidden;
}
.msam-annotator .widget-html-content { line-height: 1.45; overflow-wrap: anywhere; }
.msam-bar { display: flex; flex-flow: row wrap; gap: 3px 9px; overflow: visible; margin: 0 0 3px; }
.msam-group { display: flex; flex-flow: row wrap; gap: 2px; overflow: visible; margin: 0; align-items: center; }
.msam-annotator .msam-button { margin: 0; width: 28px; height: 28px; line-height: 26px; padding: 0; flex: 0 0 auto; }
.msam-annotator .msam-button.msam-worded { width: auto; padding: 0 6px; }
.msam-annotator .msam-button.msam-worded i { margin-right: 4px; }
.msam-annotator .msam-button:focus-visible { outline: 2px solid var(--msam-brand); outline-offset: -2px; }
.msam-group .widget-dropdown, .msam-group .widget-slider { margin: 0; }
.msam-stage { display: flex; flex-flow: row wrap; gap: 8px; align-items: flex-start; overflow: hidden; width: 100%;
  container-type: inline-size; position: relative; }
.msam-canvas { background: var(--msam-raised); border-radius: 3px; }
.msam-side { flex: 1 1 300px; max-width: 460px; min-width: 0; max-height: 70vh; overflow: auto; margin: 0; }
.msam-side:has(> .msam-objects) { flex-basis: 330px; }
.msam-panel { border: 1px solid var(--msam-line); border-radius: 3px; padding: 4px 6px 6px; margin: 0 0 6px;
  width: auto; overflow: hidden; flex: 0 0 auto; }
.msam-title { font-weight: 600; }
.msam-hint { font-weight: normal; color: var(--msam-faint); margin-left: 6px; }
.msam-panel .widget-inline-hbox, .msam-panel .widget-hbox { margin: 1px 0; }
.msam-panel .widget-checkbox { margin: 0; width: auto; flex: 0 0 108px; min-width: 0; }
.msam-panel .widget-checkbox .widget-label-basic { min-width: 0; }
.msam-panel .widget-slider { margin: 0; flex: 1 1 90px; min-width: 80px; width: auto; }
.msam-note { color: var(--msam-faint); font-size: var(--jp-ui-font-size1, 13px); }
.msam-news { display: flex; flex-flow: row wrap; gap: 0 12px; overflow: hidden; min-height: 2.9em; margin: 0; }
.msam-news .msam-brushing { flex: 0 0 auto; }
.msam-status { flex: 10 1 200px; margin: 0; min-width: 0; }
.msam-alert { color: var(--msam-error); }
.msam-late { opacity: 0; animation: msam-appear 0.15s 0.4s forwards; font-style: italic; color: var(--msam-faint); }
@keyframes msam-appear { to { opacity: 1; } }
.msam-progress { flex: 1 0 270px; max-width: 420px; gap: 8px; align-items: center; margin: 0; height: 2.9em; }
.msam-progress .msam-work { flex: 1 1 auto; min-width: 0; margin: 0; height: auto; font-size: 12px; }
.msam-progress .msam-work .widget-html-content { line-height: 1.2; }
.msam-track { height: 5px; border-radius: 3px; overflow: hidden; background: var(--msam-raised); max-width: 480px; }
.msam-track > div { height: 100%; background: var(--msam-brand); transition: width 0.2s; }
.msam-track.msam-unknown > div { width: 25%; animation: msam-run 1.4s infinite alternate ease-in-out; }
@keyframes msam-run { from { margin-left: 0; } to { margin-left: 75%; } }
.msam-help-table { position: absolute; inset: 8px auto auto 8px; z-index: 5; max-height: calc(100% - 16px);
  max-width: calc(100% - 16px); width: 60em; overflow: auto; background: var(--msam-ground); padding: 8px 12px;
  border: 1px solid var(--msam-line); border-radius: 4px; box-shadow: 0 2px 12px rgba(0, 0, 0, 0.35); }
.msam-help-table .msam-close-help { position: sticky; top: 0; align-self: flex-end; z-index: 1; }
.msam-help-table .widget-html { height: auto; margin-top: -24px; }
.msam-keys { columns: 26em auto; line-height: 1.55; }
.msam-keys > div { break-inside: avoid; display: flex; gap: 8px; }
.msam-keys b { flex: 0 0 10em; }
.msam-keys b kbd { font: inherit; border: 1px solid var(--msam-line); border-radius: 3px; padding: 0 4px;
  white-space: nowrap; }
.msam-contrast .bqplot { margin: 0; }
.msam-contrast .bqplot text { fill: var(--msam-text) !important; font-size: 10px; }
.msam-contrast .bqplot .axis line, .msam-contrast .bqplot .axis path { stroke: var(--msam-faint) !important; }
.msam-contrast .bqplot .plotarea_background { fill: transparent !important; }
.msam-contrast .widget-text { width: auto; flex: 1 1 90px; min-width: 70px; margin: 0 2px; }
.msam-contrast .widget-colorpicker { width: 34px; flex: 0 0 34px; margin: 0; }
.msam-automatic .msam-find-all { width: 100% !important; margin: 4px 0 !important; }
.msam-automatic .bqplot { margin: 0; }
.msam-automatic .bqplot text { fill: var(--msam-text) !important; font-size: 10px; }
.msam-automatic .bqplot .axis line, .msam-automatic .bqplot .axis path { stroke: var(--msam-faint) !important; }
.msam-automatic .bqplot .plotarea_background { fill: transparent !important; }
.msam-automatic .widget-dropdown, .msam-automatic .widget-text { width: auto; margin: 1px 0; }
.msam-form .msam-setting { width: auto; margin: 1px 0; flex: 0 0 auto; }
.msam-form .widget-label { width: 112px !important; flex: 0 0 112px; font-size: 12px; white-space: normal;
  line-height: 1.1; }
.msam-form .widget-readout { min-width: 36px !important; max-width: 40px; }
.msam-count { font-weight: 600; min-height: 1.5em; }
.msam-planes { overflow: visible; margin: 0 0 4px; width: 100%; }
.msam-plane-row { align-items: flex-start; overflow: visible; gap: 2px; margin: 0; flex-flow: row wrap; }
.msam-annotator .msam-plane-track { flex: 1 1 220px; min-width: 120px; margin: 0 10px; overflow: visible; }
.msam-plane-track .widget-slider { width: 100%; margin: 0; height: 18px; }
.msam-plane-track .slider-container { margin: 0; }
.msam-plane-text { margin: 0 0 0 4px; flex: 0 0 auto; height: 28px; }
.msam-plane-text .widget-html-content { line-height: 28px; white-space: nowrap; font-variant-numeric: tabular-nums; }
.msam-plane-text span { color: var(--msam-faint); margin-left: 6px; }
.msam-strip { margin: 0; height: 9px; overflow: visible; }
.msam-strip > .widget-html-content { width: 100%; height: 9px; }
.msam-strip .widget-html-content > div { position: relative; height: 7px; margin: 1px 0; border-radius: 2px;
  background: var(--msam-raised); overflow: hidden; }
.msam-strip i { position: absolute; top: 0; height: 100%; min-width: 3px; }
.msam-strip .msam-extent { background: #e0c000; opacity: 0.75; }
.msam-strip .msam-prompt { background: #00a843; }
.msam-strip .msam-stop { background: #e53935; }
.msam-object { min-height: 30px; column-gap: 6px; }
.msam-prompted .msam-note { margin: 0 2px 0 8px; }
.msam-annotator .msam-button.msam-go { min-width: 28px; }
.msam-views-canvas { overflow: hidden; background: #000; margin: 2px 0; cursor: crosshair; }
.msam-agreement .bqplot { margin: 0; }
.msam-agreement .bqplot text { fill: var(--msam-text) !important; font-size: 10px; }
.msam-agreement .bqplot .axis line, .msam-agreement .bqplot .axis path { stroke: var(--msam-faint) !important; }
.msam-agreement .bqplot .plotarea_background { fill: transparent !important; }
.msam-agreement .bqplot .zeroLine { display: none; }
.msam-agreement .bqplot .bar { cursor: pointer; pointer-events: all; }
.msam-annotator .msam-tree { display: block; overflow: hidden auto; max-height: 320px; width: 100%; margin: 2px 0; }
.msam-annotator .msam-tree-body { position: relative; width: 100%; overflow: hidden; flex: 0 0 auto; }
.msam-annotator .msam-tree-layer { position: absolute; inset: 0; width: auto; height: auto; margin: 0; }
.msam-tracks .bqplot { margin: 0; }
.msam-tracks .bqplot text { fill: var(--msam-text) !important; font-size: 10px; }
.msam-tracks .bqplot path[style*="dasharray: 10"] { stroke-dasharray: 4 3 !important; }
.msam-tracks .bqplot .axis line, .msam-tracks .bqplot .axis path { stroke: var(--msam-faint) !important; }
.msam-tracks .bqplot .plotarea_background { fill: transparent !important; }
.msam-tracks > .msam-group { margin: 2px 0; }
.msam-tracks > .widget-checkbox, .msam-linking .msam-link-segment { flex: 0 0 auto; align-items: center; }
.msam-linking .msam-link-segment { margin: 0 4px; }
.msam-linking { border-top: 1px solid var(--msam-line); margin: 4px 0 0; padding-top: 4px; overflow: hidden; }
.msam-daughters { font-weight: 600; padding-left: 8px; }
.msam-daughters .widget-html { margin: 0 4px; }
.msam-proofread > .msam-group { margin: 2px 0; }
.msam-proofread .msam-pixels { flex: 0 0 52px; margin: 0 6px 0 0; }
.msam-proofread .msam-class-field { margin: 0; flex: 1 1 90px; }
.msam-suspect-place { font-weight: 600; margin: 0 0 0 6px; }
.msam-suspect-reasons { min-height: 4.3em; }
.msam-legend span { white-space: nowrap; margin-right: 10px; }
.msam-legend i { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin-right: 4px;
  border: 1px solid var(--msam-faint); }
.msam-classes .msam-class { width: 100% !important; margin: 1px 0 !important; text-align: left; }
.msam-class-name, .msam-class-file { width: auto !important; flex: 1 1 100px; min-width: 60px; }
.msam-class-colours { width: auto; margin: 0 4px; }
.msam-models .widget-select { width: auto; margin: 2px 0; }
.msam-models .widget-text { width: auto; flex: 1 1 120px; margin: 0; }
.msam-finetuning > * { margin: 0 0 8px; }
.msam-setup .msam-form { max-width: 560px; }
.msam-setup .msam-form .widget-text { max-width: 300px; }
.msam-setup .msam-form.msam-others { display: grid; grid-template-columns: repeat(auto-fill, minmax(300px, 1fr));
  gap: 0 24px; max-width: 1000px; align-items: center; }
.msam-setup .msam-form .widget-dropdown select { min-width: 0; }
.msam-data table { border-collapse: collapse; font-size: 12px; margin: 4px 0 0; }
.msam-data td, .msam-data th { padding: 0 12px 0 0; text-align: left; }
.msam-data-notes { margin: 2px 0; padding-left: 18px; color: var(--msam-faint); }
.msam-data summary { cursor: pointer; color: var(--msam-faint); }
.msam-training-line { max-width: 760px; }
.msam-training-bar .msam-deeds { gap: 6px; margin: 0 0 4px; }
.msam-question { border-left: 3px solid var(--msam-error); padding: 2px 8px; margin: 4px 0; }
.msam-question .msam-answers { gap: 6px; }
.msam-curves, .msam-pairs { display: flex; flex-flow: row wrap; gap: 8px 14px; width: 100%; overflow: visible; }
.msam-curve { flex: 1 1 220px; max-width: 420px; min-width: 200px; overflow: hidden; }
.msam-curve .bqplot { margin: 0; }
.msam-curve .bqplot text { fill: var(--msam-text) !important; font-size: 10px; }
.msam-curve .bqplot .axis line, .msam-curve .bqplot .axis path { stroke: var(--msam-faint) !important; }
.msam-curve .bqplot .plotarea_background { fill: transparent !important; }
.msam-curve .bqplot path[style*="dasharray: 10"] { stroke-dasharray: 4 3 !important; }
.msam-crops .msam-after-step { width: 100%; max-width: 460px; margin: 0; }
.msam-pair { flex: 1 1 420px; max-width: 620px; min-width: 0; gap: 6px; overflow: hidden; }
.msam-card { flex: 1 1 0; min-width: 0; overflow: hidden; }
.msam-card img { width: 100%; height: auto; margin: 0; }
.msam-export .msam-export-path { width: 220px; margin: 0; }
.msam-export .widget-dropdown { width: 190px; margin: 0; }
.msam-result > * { flex: 0 0 auto; }
.msam-log { font-size: 11px; line-height: 1.3; max-height: 260px; overflow: auto; margin: 0; }
"""


def style_sheet() -> widgets.HTML:
    """Return a widget that shows nothing and styles every annotator of the page."""
    sheet = widgets.HTML(f"<style>{_CSS}</style>")
    sheet.layout.display = "none"
    return sheet
