package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.net.http.HttpResponse;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;

/** The server's state of one optimization. Not for several threads at once: a step follows on the one before. */
public final class Session {
    private final DescentClient client;
    private final String path;
    private final String id;
    private final int coordinates;
    private long step;
    private boolean replayed;

    Session(DescentClient client, JsonNode info) {
        this.client = client;
        this.id = info.path("id").asText();
        this.path = "/v1/sessions/" + DescentClient.segment(id);
        this.coordinates = info.path("coordinates").asInt();
        take(info);
    }

    public String id() {
        return id;
    }

    public int coordinates() {
        return coordinates;
    }

    /** What the next update is sent with. */
    public long step() {
        return step;
    }

    public void step(long value) {
        step = value;
    }

    /** Had the server taken the last update's step before? */
    public boolean replayed() {
        return replayed;
    }

    /** {@link #update(float[], Double)} without a loss. */
    public float[] update(float[] gradient) throws InterruptedException {
        return update(gradient, null);
    }

    /**
     * Send the gradient where the parameters stand; the update that comes back is to be ADDED to them. When no answer
     * arrives the same step is sent again, which is safe; after {@link ConnectionFailedException} it may be called again
     * with the same gradient.
     *
     * @param loss the objective there, for the session's history; may be null
     */
    public float[] update(float[] gradient, Double loss) throws InterruptedException {
        if (gradient.length != coordinates) {
            throw new IllegalArgumentException(
                    "the gradient has " + gradient.length + " numbers, the session " + coordinates + " coordinates");
        }
        Map<String, String> headers = new HashMap<>();
        headers.put("Content-Type", "application/octet-stream");
        headers.put("Descent-Step", Long.toString(step));
        if (loss != null) {
            headers.put("Descent-Loss", loss.toString());
        }
        return takeUpdate(client.transport().send("POST", path + "/update", toBytes(gradient), headers));
    }

    private float[] takeUpdate(HttpResponse<byte[]> response) {
        long next = response.headers().firstValueAsLong("Descent-Step").orElse(-1);
        if (next < 0 || response.body().length != 4 * coordinates) {
            throw new DescentException("the answer is no update: " + response.body().length + " bytes", null);
        }
        step = next;
        replayed = response.headers().firstValue("Descent-Replayed").orElse("").equals("true");
        float[] update = new float[coordinates];
        ByteBuffer.wrap(response.body()).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(update);
        return update;
    }

    private static byte[] toBytes(float[] floats) {
        ByteBuffer buffer = ByteBuffer.allocate(4 * floats.length).order(ByteOrder.LITTLE_ENDIAN);
        buffer.asFloatBuffer().put(floats);
        return buffer.array();
    }

    public JsonNode info() throws InterruptedException {
        return client.call("GET", path, null);
    }

    /** The family's initial state, step 0. */
    public void reset() throws InterruptedException {
        take(client.call("POST", path + "/reset", null));
    }

    /** Keep the state under a name, for {@link #restore} and {@link #fork}. */
    public JsonNode checkpoint(String name) throws InterruptedException {
        return client.create(path + "/checkpoints", Transport.JSON.createObjectNode().put("name", name));
    }

    public void deleteCheckpoint(String name) throws InterruptedException {
        client.call("DELETE", path + "/checkpoints/" + DescentClient.segment(name), null);
    }

    public void restore(String checkpoint) throws InterruptedException {
        take(client.call("POST", path + "/restore", Transport.JSON.createObjectNode().put("checkpoint", checkpoint)));
    }

    /** A new session with the same state, or that of a checkpoint (null: as it stands). */
    public Session fork(String checkpoint) throws InterruptedException {
        ObjectNode body = Transport.JSON.createObjectNode();
        if (checkpoint != null) {
            body.put("checkpoint", checkpoint);
        }
        return new Session(client, client.create(path + "/fork", body));
    }

    /** The whole state: the bytes of a safetensors file. */
    public byte[] state() throws InterruptedException {
        return client.transport().send("GET", path + "/state", null, Map.of()).body();
    }

    public void loadState(byte[] state) throws InterruptedException {
        client.transport().send("PUT", path + "/state", state, Map.of("Content-Type", "application/x-safetensors"));
        take(info());
    }

    /** Delete it on the server. */
    public void delete() throws InterruptedException {
        client.call("DELETE", path, null);
    }

    private void take(JsonNode info) {
        step = info.path("step").asLong();
        replayed = false;
    }
}
