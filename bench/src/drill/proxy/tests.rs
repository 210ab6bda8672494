//! The proxy between a dialler and an echo.

use std::io;

use rcs_proto::frames;
use rcs_proto::messages::{OperationRequest, ValidateOpRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;

const HEAD: &[u8] = b"GET / HTTP/1.1\r\n\r\n";
/// Long enough for what must come, on a busy machine.
const SOON: Duration = Duration::from_secs(180);
/// Long enough to see that nothing comes.
const A_WHILE: Duration = Duration::from_millis(150);

/// A proxy to a peer that sends back what it gets, half closes when its caller does, and keeps what it got.
async fn site() -> (Proxy, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let got = Arc::new(Mutex::new(Vec::new()));
    let kept = got.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let kept = kept.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    lock(&kept).extend_from_slice(&buffer[..read]);
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let proxy = Proxy::start(Dialler::Router, 1).await.unwrap();
    proxy.lead_to(port);
    (proxy, got)
}

/// A connection on which the head has gone to and fro.
async fn dial(proxy: &Proxy) -> TcpStream {
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(HEAD).await.unwrap();
    assert_eq!(read(&mut stream, HEAD.len()).await.unwrap(), HEAD);
    stream
}

async fn read(stream: &mut TcpStream, bytes: usize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; bytes];
    timeout(SOON, stream.read_exact(&mut buffer)).await??;
    Ok(buffer)
}

/// A frame that is a ping.
const PING: &[u8] = b"\x89\x04ping";

/// A call, as an unmasked frame.
fn call() -> Vec<u8> {
    let request = OperationRequest { validate: Some(ValidateOpRequest {}), ..Default::default() };
    let message = frames::operation(1, &request);
    [&[0x82, u8::try_from(message.len()).unwrap()][..], &message].concat()
}

#[tokio::test]
async fn a_black_hole_keeps_bytes_and_gives_them_back() {
    for weather in
        [Weather { inward: Sky::BLACK, ..Weather::CLEAR }, Weather { outward: Sky::BLACK, ..Weather::CLEAR }]
    {
        let (proxy, _) = site().await;
        let mut stream = dial(&proxy).await;
        proxy.set_weather(weather);
        stream.write_all(PING).await.unwrap();
        assert!(timeout(A_WHILE, stream.read_u8()).await.is_err(), "something came through {weather:?}");
        proxy.set_weather(Weather::CLEAR);
        assert_eq!(read(&mut stream, PING.len()).await.unwrap(), PING);
    }
}

#[tokio::test]
async fn weather_changes_times_and_never_bytes() {
    let late = Sky { latency: Duration::from_millis(40), jitter: Duration::from_millis(20), ..Sky::CLEAR };
    let thin = Sky { bandwidth: Some(10_000), ..Sky::CLEAR };
    let sliced = Sky { slice: Some(3), ..Sky::CLEAR };
    for (sky, least) in [(late, Duration::from_millis(80)), (thin, Duration::ZERO), (sliced, Duration::ZERO)]
    {
        let (proxy, got) = site().await;
        let mut stream = dial(&proxy).await;
        proxy.set_weather(Weather { inward: sky, outward: sky, ..Weather::CLEAR });
        let frames = PING.repeat(100);
        let began = Instant::now();
        stream.write_all(&frames).await.unwrap();
        assert_eq!(read(&mut stream, frames.len()).await.unwrap(), frames, "{sky:?}");
        assert!(began.elapsed() >= least, "{sky:?} took {:?}", began.elapsed());
        assert_eq!(lock(&got)[HEAD.len()..], frames);
    }
}

#[tokio::test]
async fn orders_end_connections_as_they_say() {
    let (proxy, _) = site().await;
    let mut stream = dial(&proxy).await;
    assert_eq!(proxy.order_all(Order::Reset), 1);
    let error = read(&mut stream, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);

    let mut stream = dial(&proxy).await;
    proxy.order_all(Order::Close);
    assert_eq!(read(&mut stream, 1).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);

    proxy.set_weather(Weather { newcomers: Newcomers::Refused, ..Weather::CLEAR });
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    let error = read(&mut stream, 1).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_half_closed_connection_still_takes_bytes_in() {
    let (proxy, got) = site().await;
    let mut stream = dial(&proxy).await;
    proxy.order_all(Order::HalfClose);
    assert_eq!(read(&mut stream, 1).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    stream.write_all(PING).await.unwrap();
    let arrived = async {
        while lock(&got).len() < HEAD.len() + PING.len() {
            tokio::task::yield_now().await;
        }
    };
    timeout(SOON, arrived).await.expect("what is sent after the half close arrives");
}

#[tokio::test]
async fn a_trap_lets_through_what_its_point_says_and_then_springs_once() {
    let call = call();
    for (point, bytes) in [
        (Point::BeforeRequest, 0),
        (Point::FirstByte, 1),
        (Point::HalfRequest, call.len() / 2),
        (Point::AfterRequest, call.len()),
        (Point::Executing, call.len()),
    ] {
        let (proxy, got) = site().await;
        let mut stream = dial(&proxy).await;
        let (trap, sprung) = Trap::new(point, &mut fastrand::Rng::with_seed(3), || {});
        let skipped = trap.skip as usize;
        proxy.arm(trap);
        stream.write_all(PING).await.unwrap();
        for _ in 0..=skipped {
            stream.write_all(&call).await.unwrap();
        }
        timeout(SOON, sprung).await.unwrap().expect("the trap springs on the call");
        let passed = HEAD.len() + PING.len() + skipped * call.len() + bytes;
        let arrived = async {
            while lock(&got).len() < passed {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, arrived).await.expect("what was let pass arrives");
        assert_eq!(lock(&got).len(), passed, "{point:?}");
        assert!(!proxy.disarm(), "it has sprung");
        assert!(proxy.last_call().is_some());
    }
}
