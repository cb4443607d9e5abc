import java.io.DataInputStream;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;

/**
 * usage: java Clients.java PROXY_HOST PROXY_PORT HOST PORT COUNT THREADS: COUNT connections through the
 * proxy, each used once, on so many threads.
 */
class Clients {
  static String[] to;

  static void connection() throws Exception {
    final byte[] hello = "hello".getBytes(StandardCharsets.UTF_8);
    try (Socket socket = new Socket(to[0], Integer.parseInt(to[1]))) {
      final String target = to[2] + ":" + to[3];
      final String head = "CONNECT " + target + " HTTP/1.1\r\nHost: " + target + "\r\n\r\n";
      socket.getOutputStream().write(head.getBytes(StandardCharsets.UTF_8));
      final DataInputStream in = new DataInputStream(socket.getInputStream());
      final StringBuilder answer = new StringBuilder();
      while (answer.indexOf("\r\n\r\n") < 0) answer.append((char) in.readUnsignedByte());
      if (!answer.toString().startsWith("HTTP/1.1 200")) throw new Exception(answer.toString());
      socket.getOutputStream().write(hello);
      final byte[] back = new byte[hello.length];
      in.readFully(back);
      System.out.println("good");
    }
  }

  public static void main(String[] arguments) throws Exception {
    to = arguments;
    final int count = Integer.parseInt(arguments[4]);
    final int threads = Integer.parseInt(arguments[5]);
    final List<Thread> running = new ArrayList<>();
    for (int i = 0; i < threads; ++i) {
      final Thread thread = new Thread(() -> {
        try {
          for (int n = 0; n < count / threads; ++n) connection();
        } catch (Exception error) {
          error.printStackTrace();
          System.exit(1);
        }
      });
      running.add(thread);
      thread.start();
    }
    for (Thread thread : running) thread.join();
  }
}
