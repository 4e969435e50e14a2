use p2p::display::show::*;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let mut o = ShowOptions::plain();
    let mut path = String::new();
    for a in &args[1..] {
        if let Some(w) = a.strip_prefix("-w=") {
            o.width = w.parse().unwrap();
        } else if let Some(w) = a.strip_prefix("-h=") {
            o.height = w.parse().unwrap();
        } else if let Some(w) = a.strip_prefix("-l=") {
            o.max_lines = w.parse().unwrap();
        } else if a == "-v" {
            o.verbose = true;
        } else if a == "-c" {
            o.color = ColorLevel::TrueColor;
            o.graphics = Graphics::HalfBlocks;
        } else if a == "-6" {
            o.color = ColorLevel::Ansi256;
            o.graphics = Graphics::Sixel;
        } else {
            path = a.clone();
        }
    }
    let t = std::time::Instant::now();
    let r = show(
        std::path::Path::new(&path),
        &o,
        &mut std::io::stdout().lock(),
    );
    let hwm = std::fs::read_to_string("/proc/self/status").unwrap();
    let hwm = hwm
        .lines()
        .find(|l| l.starts_with("VmHWM"))
        .unwrap()
        .to_owned();
    eprintln!("{r:?} {:?} {hwm}", t.elapsed());
}
