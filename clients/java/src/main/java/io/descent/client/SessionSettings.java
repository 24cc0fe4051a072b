package io.descent.client;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.Map;

/** What a new session is like: begin with {@link #coordinates} or with {@link #layout}. */
public final class SessionSettings {
    private final ObjectNode json = Transport.JSON.createObjectNode();

    private SessionSettings() {}

    /** Settings from JSON as in the HTTP API. */
    public static SessionSettings of(ObjectNode json) {
        SessionSettings settings = new SessionSettings();
        settings.json.setAll(json);
        return settings;
    }

    public static SessionSettings coordinates(int n) {
        SessionSettings settings = new SessionSettings();
        settings.json.put("coordinates", n);
        return settings;
    }

    /** A session described by tensors, to be added with {@link #tensor} in the gradient's order. */
    public static SessionSettings layout() {
        SessionSettings settings = new SessionSettings();
        settings.json.putArray("layout");
        return settings;
    }

    /** The next tensor; optimizer may be null: then it is the session's. */
    public SessionSettings tensor(String name, String optimizer, int... shape) {
        ObjectNode entry = ((ArrayNode) json.get("layout")).addObject().put("name", name);
        ArrayNode sizes = entry.putArray("shape");
        for (int size : shape) {
            sizes.add(size);
        }
        if (optimizer != null) {
            entry.put("optimizer", optimizer);
        }
        return this;
    }

    /** "strict" (default), "relaxed" or "memory". */
    public SessionSettings durability(String value) {
        json.put("durability", value);
        return this;
    }

    public SessionSettings clipNorm(double value) {
        json.put("clip_norm", value);
        return this;
    }

    public SessionSettings ttlSeconds(long value) {
        json.put("ttl_seconds", value);
        return this;
    }

    public SessionSettings labels(Map<String, String> values) {
        ObjectNode labels = json.putObject("labels");
        values.forEach(labels::put);
        return this;
    }

    ObjectNode toJson() {
        return json.deepCopy();
    }
}
