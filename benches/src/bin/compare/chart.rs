//! Draws the summary as plain SVG.

use std::fmt::Write as _;

use crate::{
    page::digits,
    summary::{Aim, Line},
};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 360.0;
const RIGHT: f64 = 70.0;
const TOP: f64 = 64.0;
const ROW: f64 = 26.0;
const OURS: &str = "#1f6feb";
const LIMIT: &str = "#c9d1d9";
const AIM: &str = "#d1242f";

/// Draws bars on a logarithmic scale: how many times better our stores and the plain log are than the published
/// backend.
pub(crate) fn draw(lines: &[Line]) -> String {
    let lines: Vec<(&Line, f64)> = lines.iter().filter_map(|line| Some((line, line.gain?))).collect();
    let all = lines.iter().flat_map(|(line, gain)| [Some(*gain), line.limit_gain]).flatten().filter(|v| *v > 0.0);
    let (low, high) = all.fold((0.5_f64, 10.0_f64), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = (low.log10(), high.log10().ceil());
    let x = |value: f64| LEFT + (value.log10().clamp(low, high) - low) / (high - low) * (WIDTH - LEFT - RIGHT);
    let height = TOP + ROW * lines.len() as f64 + 16.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"16\" y=\"22\" font-size=\"15\">Times as good as the published backend (more is better, logarithmic)</text>\n"
    );
    for (place, (colour, name)) in [(OURS, "ours"), (LIMIT, "plain log, the limit"), (AIM, "aim")].iter().enumerate() {
        let left = 16.0 + 150.0 * place as f64;
        let _ = writeln!(
            svg,
            "<rect x=\"{left}\" y=\"34\" width=\"12\" height=\"12\" fill=\"{colour}\"/><text x=\"{}\" y=\"44\">{name}</text>",
            left + 18.0
        );
    }
    for power in low.ceil() as i32..=high as i32 {
        let value = 10_f64.powi(power);
        let (at, width) = (x(value), if power == 0 { 1.5 } else { 0.5 });
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{}\" stroke=\"#57606a\" stroke-width=\"{width}\"/>\
             <text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{value}</text>",
            height - 16.0,
            TOP - 5.0
        );
    }
    for (place, (line, gain)) in lines.iter().enumerate() {
        bars(&mut svg, line, *gain, TOP + ROW * place as f64, &x);
    }
    svg + "</svg>\n"
}

fn bars(svg: &mut String, line: &Line, gain: f64, top: f64, x: &dyn Fn(f64) -> f64) {
    let bar = |svg: &mut String, value: f64, y: f64, height: f64, colour: &str| {
        let (from, to) = (x(1.0).min(x(value)), x(1.0).max(x(value)));
        let width = to - from;
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
        );
    };
    if let Some(limit) = line.limit_gain {
        bar(svg, limit, top + 3.0, 20.0, LIMIT);
    }
    bar(svg, gain, top + 7.0, 12.0, OURS);
    if let Aim::Times(aim) = line.aim {
        let at = x(aim);
        let (from, to) = (top + 3.0, top + 23.0);
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{from}\" y2=\"{to}\" stroke=\"{AIM}\" stroke-width=\"2\"/>"
        );
    }
    let (text, end) = (top + 17.0, x(gain.max(1.0)).max(line.limit_gain.map_or(0.0, x)) + 5.0);
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{text}\" text-anchor=\"end\">{}</text><text x=\"{end:.1}\" y=\"{text}\">{}</text>",
        LEFT - 8.0,
        escape(&line.what),
        digits(gain)
    );
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
