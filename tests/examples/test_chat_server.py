"""A server with a thread for each client: it stops at once, with all of its threads, and gives back what it took."""

import os
import signal
import socket
import time
import unittest

from programs import BUILD, PATIENCE, finish, run, start

SERVER = str(BUILD / "examples" / "chat_server")


class ChatServer(unittest.TestCase):
    def serve(self, *arguments):
        server = start(self, [SERVER, "0", *arguments])
        line = server.stdout.readline()
        self.assertRegex(line, rb"^listening on port \d+\n$")
        self.port = int(line.split()[-1])
        return server

    def connect(self):
        """A client that has its seat."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        self.addCleanup(client.close)
        lines = client.makefile("rb")
        self.addCleanup(lines.close)
        self.assertRegex(lines.readline(), rb"^you are \d+\n$")
        return client, lines

    def threads_of(self, server):
        return len(os.listdir(f"/proc/{server.pid}/task"))

    def stop(self, server, signum):
        server.send_signal(signum)
        self.assertEqual(finish(server), (0, "stopped\n", ""))

    def test_what_one_says_all_others_hear(self):
        server = self.serve()
        (_, first), (talks, talked), (_, third) = self.connect(), self.connect(), self.connect()
        talks.sendall(b"one\ntwo")
        talks.sendall(b" and a half\n")
        for heard in first, third:
            self.assertEqual(heard.readline(), b"2: one\n")
            self.assertEqual(heard.readline(), b"2: two and a half\n")
        self.stop(server, signal.SIGTERM)
        self.assertEqual(talked.read(), b"")

    def test_ctrl_c_and_sigterm_end_it_and_all_of_its_threads(self):
        for signum in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signum.name):
                server = self.serve()
                clients = [self.connect() for _ in range(10)]
                self.stop(server, signum)
                for _, heard in clients:
                    self.assertEqual(heard.read(), b"")

    def test_it_stops_while_all_talk(self):
        for _ in range(10):
            server = self.serve()
            clients = [self.connect() for _ in range(3)]
            for client, _ in clients:
                client.sendall(b"x\n" * 10_000)
            self.stop(server, signal.SIGINT)

    def test_two_signals_at_once_end_it_as_one_does(self):
        for _ in range(10):
            server = self.serve()
            client, _ = self.connect()
            server.send_signal(signal.SIGINT)
            self.stop(server, signal.SIGTERM)

    def test_a_client_that_says_nothing_is_told_so(self):
        server = self.serve("1")
        _, heard = self.connect()
        self.assertEqual(heard.read(), b"you have said nothing for too long\n")
        self.stop(server, signal.SIGINT)

    def test_threads_of_clients_that_have_gone_are_gone(self):
        server = self.serve()
        for _ in range(50):
            client, lines = self.connect()
            lines.close()
            client.close()
        # Each that comes takes those along that have ended.
        deadline = time.monotonic() + PATIENCE
        while self.threads_of(server) > 5:
            self.assertLess(time.monotonic(), deadline)
            self.connect()[0].close()
        self.stop(server, signal.SIGTERM)

    def test_a_port_that_is_none_or_taken_is_refused(self):
        self.assertEqual(run(self, [SERVER, "http"]), (2, "", f"usage: {SERVER} [PORT [IDLE_SECONDS]]\n"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            status, out, err = run(self, [SERVER, str(taken.getsockname()[1])])
        self.assertEqual((status, out, err), (1, "", "bind: Address already in use\n"))


if __name__ == "__main__":
    unittest.main()
