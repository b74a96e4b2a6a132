//! A monitor: a task that lives as long as the program, watches a pipe, a socket and a timer, and submits a task for each
//! event. It holds no core while nothing happens. Ends by itself when both its sources do.
#![allow(clippy::print_stdout, reason = "an example prints its result")]

use std::error::Error;
use std::io::{ErrorKind, PipeReader, Read, Write, pipe};
use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::Duration;

use heist::io::{Watched, interval};
use heist::{Executor, Shutdown, TaskError};

/// What the tasks report.
enum Event {
    Line(String),
    Datagram(usize),
    Tick,
}

/// Submits a task for each line that comes out of the pipe.
async fn watch_pipe(ex: &Executor, reader: Watched<PipeReader>, events: &mpsc::Sender<Event>) -> Result<(), TaskError> {
    let (mut text, mut buffer) = (Vec::new(), [0; 64]);
    loop {
        reader.readable().await?;
        let Ok(count) = reader.get_ref().read(&mut buffer) else { return Ok(()) };
        if count == 0 {
            return Ok(());
        }
        text.extend_from_slice(&buffer[..count]);
        while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
            let line: Vec<_> = text.drain(..=end).collect();
            let events = events.clone();
            let report = move || events.send(Event::Line(String::from_utf8_lossy(&line).trim_end().to_uppercase()));
            ex.submit(report).detach();
        }
    }
}

/// Submits a task for each datagram, up to an empty one.
async fn watch_socket(
    ex: &Executor,
    socket: Watched<UdpSocket>,
    events: &mpsc::Sender<Event>,
) -> Result<(), TaskError> {
    let mut buffer = [0; 1500];
    loop {
        socket.readable().await?;
        match socket.get_ref().recv(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                let (bytes, events) = (buffer[..count].to_vec(), events.clone());
                let sum = move || events.send(Event::Datagram(bytes.iter().map(|byte| usize::from(*byte)).sum()));
                ex.submit(sum).detach();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return Ok(()),
        }
    }
}

/// Blocks between ticks, and lends its core meanwhile; ends when it is cancelled.
fn watch_time(events: &mpsc::Sender<Event>) -> Result<(), TaskError> {
    let mut ticks = interval(Duration::from_millis(2));
    loop {
        ticks.wait()?;
        let events = events.clone();
        if let Some(current) = heist::current() {
            current.executor().submit(move || events.send(Event::Tick)).detach();
        }
    }
}

pub(crate) fn main() -> Result<(), Box<dyn Error>> {
    // One worker: the monitors wait beside the tasks they submit, not in their way.
    let ex = Executor::builder().workers(1).build()?;
    let (sender, events) = mpsc::channel();
    let (reader, mut writer) = pipe()?;
    let (socket, far) = (UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?);
    socket.set_nonblocking(true)?;
    far.connect(socket.local_addr()?)?;
    let (reader, socket) = (Watched::new(reader)?, Watched::new(socket)?);

    let (inner, told) = (ex.clone(), sender.clone());
    let pipes = ex.spawn(async move { watch_pipe(&inner, reader, &told).await });
    let (inner, told) = (ex.clone(), sender.clone());
    let sockets = ex.spawn(async move { watch_socket(&inner, socket, &told).await });
    let timer = ex.submit(move || watch_time(&sender));

    // The world outside.
    for (line, datagram) in [("first\nsec", [1, 2, 3]), ("ond\n", [4, 5, 6]), ("third\n", [7, 8, 9])] {
        writer.write_all(line.as_bytes())?;
        far.send(&datagram)?;
    }
    let (mut lines, mut sums, mut ticks) = (Vec::new(), Vec::new(), 0);
    while lines.len() < 3 || sums.len() < 3 || ticks < 3 {
        match events.recv()? {
            Event::Line(line) => lines.push(line),
            Event::Datagram(sum) => sums.push(sum),
            Event::Tick => ticks += 1,
        }
    }
    drop(writer);
    far.send(&[])?;
    timer.cancel("seen enough");
    pipes.result()??;
    sockets.result()??;
    lines.sort();
    sums.sort_unstable();
    println!("lines: {}", lines.join(" "));
    println!("datagrams add up to {sums:?}");
    println!("the timer ticked");
    ex.shutdown(Shutdown::Wait);
    Ok(())
}
