package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.function.Consumer;

/** Long work on the server: meta-training or evaluation. */
public final class Job {
    /** One event: kind is "state", "progress", "metric", "log" or "done". */
    public record Event(String id, String kind, JsonNode data) {}

    private final DescentClient client;
    private final String id;
    private final String path;

    Job(DescentClient client, String id) {
        this.client = client;
        this.id = id;
        this.path = "/v1/jobs/" + DescentClient.segment(id);
    }

    public String id() {
        return id;
    }

    public JsonNode info() throws InterruptedException {
        return client.call("GET", path, null);
    }

    public JsonNode cancel() throws InterruptedException {
        return client.call("POST", path + "/cancel", null);
    }

    public JsonNode pause() throws InterruptedException {
        return client.call("POST", path + "/pause", null);
    }

    public JsonNode resume() throws InterruptedException {
        return client.call("POST", path + "/resume", null);
    }

    public void delete() throws InterruptedException {
        client.call("DELETE", path, null);
    }

    /** Hand on every event until the job is done, as they happen; a lost connection is taken up again where it was. */
    public void events(Consumer<Event> consumer) throws InterruptedException {
        Reader reader = new Reader(consumer);
        for (int silent = 1;; silent++) {
            IOException lost = null;
            reader.news = false;
            try {
                reader.read();
            } catch (IOException e) {
                lost = e;
            }
            if (reader.done) {
                return;
            }
            silent = reader.news ? 0 : silent;
            if (silent >= client.transport().attempts()) {
                throw new ConnectionFailedException("the events of job " + id, silent, lost);
            }
            Thread.sleep(Transport.pause(silent + 1).toMillis());
        }
    }

    /** Server-Sent Events (WHATWG HTML, 9.2). */
    private final class Reader {
        private final Consumer<Event> consumer;
        private String after = "";
        private boolean news;
        private boolean done;

        Reader(Consumer<Event> consumer) {
            this.consumer = consumer;
        }

        void read() throws IOException, InterruptedException {
            Map<String, String> headers = new HashMap<>(Map.of("Accept", "text/event-stream"));
            if (!after.isEmpty()) {
                headers.put("Last-Event-ID", after);
            }
            try (BufferedReader lines = new BufferedReader(
                    new InputStreamReader(client.transport().stream(path + "/events", headers), StandardCharsets.UTF_8))) {
                String kind = "";
                StringBuilder data = new StringBuilder();
                for (String line; !done && (line = lines.readLine()) != null;) {
                    if (line.startsWith("id:")) {
                        after = line.substring(3).strip();
                    } else if (line.startsWith("event:")) {
                        kind = line.substring(6).strip();
                    } else if (line.startsWith("data:")) {
                        data.append(line.substring(5)).append('\n');
                    } else if (line.isEmpty() && data.length() > 0) {
                        dispatch(kind, data.toString());
                        data.setLength(0);
                    }
                }
            }
        }

        private void dispatch(String kind, String data) throws IOException {
            news = true;
            done = kind.equals("done");
            consumer.accept(new Event(after, kind, Transport.JSON.readTree(data)));
        }
    }

    /** Follow the job to its end; its result. Throws {@link JobFailedException} when it did not succeed. */
    public JsonNode await() throws InterruptedException {
        events(event -> {});
        JsonNode info = info();
        if (!info.path("state").asText().equals("succeeded")) {
            throw new JobFailedException(info);
        }
        return info.path("result");
    }
}
