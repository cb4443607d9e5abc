"""usage: clients.py PROXY_HOST PROXY_PORT HOST PORT COUNT THREADS TIMEOUT: COUNT connections through the
proxy, each used once. THREADS 0 is the first thread alone; TIMEOUT 0 waits for ever, in recv(2) instead
of poll(2)."""

import socket
import sys
import threading

proxy, target = (sys.argv[1], int(sys.argv[2])), f"{sys.argv[3]}:{sys.argv[4]}"
count, threads, timeout = map(int, sys.argv[5:])


def connections(number):
    for _ in range(number):
        with socket.create_connection(proxy, timeout=timeout or None) as sock, sock.makefile("rb") as stream:
            sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
            status = stream.readline().split()[1]
            while stream.readline() not in (b"\r\n", b""):
                pass
            sock.sendall(b"hello")
            assert (status, stream.read(5)) == (b"200", b"hello"), status
            print("good", flush=True)


running = [threading.Thread(target=connections, args=(count // threads,)) for _ in range(threads)]
for thread in running:
    thread.start()
for thread in running:
    thread.join()
if not threads:
    connections(count)
