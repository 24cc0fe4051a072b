package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/**
 * A client for Descent, the server of learned optimizers. Threads may share it.
 *
 * <pre>{@code
 * DescentClient client = DescentClient.fromEnvironment();
 * Session session = client.session("adam", SessionSettings.coordinates(theta.length));
 * float[] update = session.update(gradient);
 * for (int i = 0; i < theta.length; i++) theta[i] += update[i];
 * }</pre>
 */
public final class DescentClient {
    private final Transport transport;

    private DescentClient(Builder builder) {
        transport = new Transport(builder.url, builder.key, builder.timeout, builder.attempts);
    }

    /** DESCENT_URL, DESCENT_API_KEY or DESCENT_API_KEY_FILE, DESCENT_TIMEOUT_SECONDS. */
    public static DescentClient fromEnvironment() {
        return builder().build();
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Where the server is and how patient to be; what is not set comes from the environment. */
    public static final class Builder {
        private String url = environment("DESCENT_URL", "http://127.0.0.1:8080");
        private String key = keyFromEnvironment();
        private Duration timeout = Duration.ofMillis(
                Math.round(1000 * Double.parseDouble(environment("DESCENT_TIMEOUT_SECONDS", "60"))));
        private int attempts = 8;

        private Builder() {}

        public Builder url(String value) {
            url = value;
            return this;
        }

        public Builder key(String value) {
            key = value;
            return this;
        }

        /** Of one try. */
        public Builder timeout(Duration value) {
            timeout = value;
            return this;
        }

        /** How often one request is tried. */
        public Builder attempts(int value) {
            attempts = Math.max(1, value);
            return this;
        }

        public DescentClient build() {
            return new DescentClient(this);
        }
    }

    private static String environment(String name, String otherwise) {
        String text = System.getenv(name);
        return text == null || text.isEmpty() ? otherwise : text;
    }

    private static String keyFromEnvironment() {
        String file = environment("DESCENT_API_KEY_FILE", null);
        String key = environment("DESCENT_API_KEY", null);
        if (key != null || file == null) {
            return key;
        }
        try {
            return Files.readString(Path.of(file)).strip();
        } catch (IOException e) {
            throw new UncheckedIOException("the key", e);
        }
    }

    /** Begin an optimization with "name", "name:7" or "name@alias". */
    public Session session(String optimizer, SessionSettings settings) throws InterruptedException {
        ObjectNode body = settings.toJson().put("optimizer", optimizer);
        return new Session(this, create("/v1/sessions", body));
    }

    /** Go on with a session, at the step where the server has it. */
    public Session resume(String id) throws InterruptedException {
        return new Session(this, call("GET", "/v1/sessions/" + segment(id), null));
    }

    public List<JsonNode> sessions() throws InterruptedException {
        return list("/v1/sessions");
    }

    public List<JsonNode> optimizers() throws InterruptedException {
        return list("/v1/optimizers");
    }

    public JsonNode optimizer(String name) throws InterruptedException {
        return call("GET", optimizerPath(name), null);
    }

    /** A named optimizer; a hand-designed family has version 1 at once. A null config is the family's default. */
    public JsonNode createOptimizer(String name, String family, JsonNode config) throws InterruptedException {
        ObjectNode body = Transport.JSON.createObjectNode().put("name", name).put("family", family);
        if (config != null) {
            body.set("config", config);
        }
        return create("/v1/optimizers", body);
    }

    public void deleteOptimizer(String name) throws InterruptedException {
        call("DELETE", optimizerPath(name), null);
    }

    public List<JsonNode> versions(String name) throws InterruptedException {
        return list(optimizerPath(name) + "/versions");
    }

    /** Add a version from the bytes of a safetensors file. */
    public JsonNode upload(String name, byte[] weights) throws InterruptedException {
        Map<String, String> headers =
                Map.of("Content-Type", "application/x-safetensors", "Idempotency-Key", freshKey());
        return parse(transport.send("POST", optimizerPath(name) + "/versions", weights, headers).body());
    }

    /** The weights of a version: the bytes of a safetensors file. */
    public byte[] download(String name, int version) throws InterruptedException {
        return transport.send("GET", optimizerPath(name) + "/versions/" + version + "/weights", null, Map.of()).body();
    }

    public JsonNode setAlias(String name, String alias, int version) throws InterruptedException {
        ObjectNode body = Transport.JSON.createObjectNode().put("version", version);
        return call("PUT", optimizerPath(name) + "/aliases/" + segment(alias), body);
    }

    /** Start a job from its specification. */
    public Job submit(JsonNode spec) throws InterruptedException {
        return job(create("/v1/jobs", spec).path("id").asText());
    }

    /** A handle on a job; sends nothing. */
    public Job job(String id) {
        return new Job(this, id);
    }

    /** Name, version, limits, families and problems of the server. */
    public JsonNode info() throws InterruptedException {
        return call("GET", "/v1", null);
    }

    Transport transport() {
        return transport;
    }

    JsonNode call(String method, String path, JsonNode body) throws InterruptedException {
        return call(method, path, body, new HashMap<>());
    }

    /** A POST that makes one thing however often it is sent. */
    JsonNode create(String path, JsonNode body) throws InterruptedException {
        return call("POST", path, body, new HashMap<>(Map.of("Idempotency-Key", freshKey())));
    }

    private JsonNode call(String method, String path, JsonNode body, Map<String, String> headers)
            throws InterruptedException {
        byte[] bytes = null;
        if (body != null) {
            headers.put("Content-Type", "application/json");
            bytes = body.toString().getBytes(StandardCharsets.UTF_8);
        }
        return parse(transport.send(method, path, bytes, headers).body());
    }

    private List<JsonNode> list(String path) throws InterruptedException {
        List<JsonNode> items = new ArrayList<>();
        String token = "";
        do {
            String next = token.isEmpty() ? "" : "&page_token=" + segment(token);
            JsonNode page = call("GET", path + "?page_size=1000" + next, null);
            page.path("items").forEach(items::add);
            token = page.path("next_page_token").asText();
        } while (!token.isEmpty());
        return items;
    }

    private static JsonNode parse(byte[] body) {
        try {
            return Transport.JSON.readTree(body);
        } catch (IOException e) {
            throw new DescentException("the answer is no JSON", e);
        }
    }

    static String segment(String text) {
        return URLEncoder.encode(text, StandardCharsets.UTF_8).replace("+", "%20");
    }

    private static String optimizerPath(String name) {
        return "/v1/optimizers/" + segment(name);
    }

    private static String freshKey() {
        return UUID.randomUUID().toString();
    }
}
