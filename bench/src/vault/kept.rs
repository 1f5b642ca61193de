//! What it costs the gateway that messages are kept: the same load through two servers, of which one has a grant that
//! says so.

use anyhow::Result;

use crate::{
    Options,
    load::Load,
    palisade::Palisade,
    report::{median, table},
};

const DAYS: u16 = 90;

/// Measures and prints.
pub async fn measure(options: &Options) -> Result<()> {
    println!(
        "## The gateway with and without the vault: 20 publishers to 1 subscriber, QoS 1, 256 bytes\n"
    );
    let load = Load {
        publishers: 20,
        subscribers: 1,
        qos: 1,
        size: 256,
        messages: options.messages,
        burst: options.burst.max(1),
    };
    let mut found = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    for _ in 0..options.runs {
        for (keep, (rates, costs)) in [None, Some(DAYS)].into_iter().zip(&mut found) {
            let folder = tempfile::tempdir()?;
            let palisade = Palisade::start_keeping(&options.palisade, folder.path(), keep)?;
            let outcome = load.run(&palisade).await?;
            rates.push(outcome.per_second);
            costs.push(outcome.cpu_us);
        }
    }
    let [without, with] = found.map(|(rates, costs)| (median(&rates), median(&costs)));
    let row = |name: &str, (rate, cost): (f64, f64)| {
        vec![
            name.to_owned(),
            format!("{rate:.0}"),
            format!("{:.2}", rate / without.0),
            format!("{cost:.2}"),
            format!("{:.2}", cost / without.1),
        ]
    };
    let header = [
        "",
        "msg/s",
        "against without",
        "CPU us/msg",
        "against without",
    ];
    let rows = [row("without", without), row("every message kept", with)];
    println!("{}", table(&header, &rows));
    Ok(())
}
