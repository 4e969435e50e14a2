//! Who connects to whom: of two relays that share a room, the one with the lower instance.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant as Time, sleep, timeout},
};
use tracing::debug;

use super::{Trunks, hello};
use crate::{
    cluster::{Instance, Picture, RelayBeat},
    relay::Shared,
};

/// Follows the directory, and keeps a connection to every relay that is to be connected to.
pub(super) async fn run(shared: &Arc<Shared>, trunks: &Trunks) {
    let mut events = trunks.directory.subscribe();
    let mut dialling: HashMap<Instance, JoinHandle<()>> = HashMap::new();
    loop {
        // Whatever it is: what counts is what is so now. Also without news, for those that gave up.
        let _ = timeout(LOOK, events.next()).await;
        let picture = Arc::new(trunks.directory.picture());
        dialling.retain(|_, task| !task.is_finished());
        for instance in picture.relays.keys() {
            if *instance > trunks.directory.instance() && !dialling.contains_key(instance) {
                let keeping = keep(shared.clone(), *instance);
                dialling.insert(*instance, tokio::spawn(keeping));
            }
        }
        trunks.picture.send_if_modified(|before| {
            let is_new = **before != *picture;
            *before = picture;
            is_new
        });
        // Changes come in bursts.
        sleep(TOGETHER).await;
    }
}

/// Connects to a relay whenever rooms are shared with it, until the directory no longer knows it.
async fn keep(shared: Arc<Shared>, instance: Instance) {
    let Some(trunks) = &shared.trunks else { return };
    let mut pictures = trunks.picture.subscribe();
    let mut pause = PAUSE_FIRST;
    loop {
        let picture = pictures.borrow_and_update().clone();
        let Some(beat) = wanted(&picture, instance) else {
            if trunks.directory.picture().relays.contains_key(&instance) {
                let _ = pictures.changed().await;
                continue;
            }
            return;
        };
        let began = Time::now();
        match hello::connect(trunks, beat).await {
            Ok(trunk) => drop(trunks.serve(&shared, trunk, true).await),
            Err(error) => debug!(name = %beat.name, address = %beat.trunk, %error, "no trunk"),
        }
        if began.elapsed() > PAUSE_MAX {
            pause = PAUSE_FIRST;
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// The relay of this instance, if it has members of any room that is open here.
fn wanted(picture: &Picture, instance: Instance) -> Option<&RelayBeat> {
    let beat = picture.relays.get(&instance)?;
    let mut rooms = picture.rooms.values();
    rooms.any(|at| at.contains(&instance)).then_some(beat)
}

/// How often the directory is looked at without news.
const LOOK: Duration = Duration::from_secs(1);
/// So long after news others are waited for.
const TOGETHER: Duration = Duration::from_millis(10);
/// Between two tries, at first and at the most.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(5);
