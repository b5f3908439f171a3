use std::collections::HashMap;
use std::sync::{mpsc, Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

fn main() {
    let counter = Arc::new(Mutex::new(0u64));
    let (sender, receiver) = mpsc::channel();
    let threads: Vec<_> = (0..8u64)
        .map(|id| {
            let counter = Arc::clone(&counter);
            let sender = sender.clone();
            thread::spawn(move || {
                for i in 0..1000 {
                    *counter.lock().unwrap() += i;
                }
                sender.send(id * id).unwrap();
            })
        })
        .collect();
    for t in threads {
        t.join().unwrap();
    }
    drop(sender);
    let squares: u64 = receiver.iter().sum();
    let mut words = HashMap::new();
    for word in "a b a c b a".split(' ') {
        *words.entry(word).or_insert(0) += 1;
    }
    let start = Instant::now();
    thread::sleep(Duration::from_millis(5));
    let slept = start.elapsed() >= Duration::from_millis(5);
    let caught = std::panic::catch_unwind(|| {
        let empty: Vec<i32> = Vec::new();
        empty[3]
    })
    .is_err();
    println!(
        "hello from Rust: counter {}, squares {}, a={}, slept {}, panic caught {}",
        counter.lock().unwrap(), squares, words["a"], slept, caught
    );
}
