"""The echo server stops cleanly: on Ctrl-C and SIGTERM, at any moment, and gives back what it took."""

import signal
import socket
import threading
import unittest

from programs import BUILD, PATIENCE, run, start

SERVER = str(BUILD / "examples" / "echo_server")


class EchoServer(unittest.TestCase):
    def serve(self):
        server = start(self, [SERVER])
        line = server.stdout.readline()
        self.assertRegex(line, rb"^listening on port \d+\n$")
        return server, int(line.split()[-1])

    def connect(self, port):
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(client.close)
        # One that has not been accepted when the server stops is refused.
        client.sendall(b"?")
        self.assertEqual(client.recv(1), b"?")
        return client

    def stop(self, server, signum):
        server.send_signal(signum)
        out, err = server.communicate(timeout=PATIENCE)
        self.assertEqual((server.returncode, err), (0, b""))
        return out.decode()

    def receive(self, client):
        received = b""
        while piece := client.recv(65536):
            received += piece
        return received

    def test_it_echoes_to_each_what_they_sent(self):
        server, port = self.serve()
        clients = [self.connect(port) for _ in range(5)]
        sent = [bytes([65 + number]) * 300_000 for number in range(5)]
        received = [b""] * 5
        threads = []
        for number, client in enumerate(clients):

            def send(client=client, number=number):
                client.sendall(sent[number])
                client.shutdown(socket.SHUT_WR)

            def take(client=client, number=number):
                received[number] = self.receive(client)

            threads += [threading.Thread(target=send), threading.Thread(target=take)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertTrue(received == sent)
        self.assertEqual(self.stop(server, signal.SIGTERM), "stopping\n")

    def test_ctrl_c_and_sigterm_stop_it_where_it_waits(self):
        for signum in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signum.name):
                server, port = self.serve()
                client = self.connect(port)
                server.send_signal(signum)
                self.assertEqual(client.recv(1), b"")
                client.close()
                self.assertEqual(self.stop(server, 0), "stopping\n")

    def test_it_stops_while_it_is_busy(self):
        for _ in range(20):
            server, port = self.serve()
            client = self.connect(port)
            over = threading.Event()

            def keep_busy(client=client, over=over):
                try:
                    while not over.is_set():
                        client.sendall(b"x")
                        if not client.recv(1):
                            break
                finally:
                    client.close()

            thread = threading.Thread(target=keep_busy)
            thread.start()
            self.assertEqual(self.stop(server, signal.SIGTERM), "stopping\n")
            over.set()
            thread.join()

    def test_what_it_has_taken_is_given_back_before_it_stops(self):
        server, port = self.serve()
        client = self.connect(port)
        client.setblocking(False)
        sent = 0
        try:
            while True:
                sent += client.send(b"y" * 65536)
        except BlockingIOError:
            pass  # nobody takes more: the server owes what it has taken, since we take nothing
        client.settimeout(PATIENCE)
        self.assertEqual(client.recv(1, socket.MSG_PEEK), b"y")
        server.send_signal(signal.SIGINT)
        self.assertEqual(server.stdout.readline(), b"stopping\n")
        received = 0
        while piece := client.recv(65536):
            self.assertEqual(piece.strip(b"y"), b"")
            received += len(piece)
        self.assertGreater(received, 0)
        self.assertLessEqual(received, sent)
        client.close()
        self.assertEqual(self.stop(server, 0), "")

    def test_it_does_not_wait_for_ever_for_those_who_take_nothing(self):
        server, port = self.serve()
        client = self.connect(port)
        client.setblocking(False)
        try:
            while True:
                client.send(b"y" * 65536)
        except BlockingIOError:
            pass
        self.assertEqual(self.stop(server, signal.SIGTERM), "stopping\n1 still connected\n")

    def test_a_port_that_is_none_or_taken_is_refused(self):
        self.assertEqual(run(self, [SERVER, "http"]), (2, "", f"usage: {SERVER} [PORT]\n"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            status, out, err = run(self, [SERVER, str(taken.getsockname()[1])])
        self.assertEqual((status, out), (1, ""))
        self.assertRegex(err, "^bind: Address already in use\n$")


if __name__ == "__main__":
    unittest.main()
