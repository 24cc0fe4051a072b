package io.descent.client;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.security.MessageDigest;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HexFormat;
import java.util.List;

/** The conformance driver: JSON commands in, JSON answers out (see ../conformance/README.md). */
public final class ConformanceDriver {
    private static final ObjectMapper JSON = new ObjectMapper();
    private final DescentClient client = DescentClient.fromEnvironment();
    private Session session;

    private ObjectNode at() {
        return JSON.createObjectNode().put("session", session.id()).put("step", session.step())
                .put("coordinates", session.coordinates());
    }

    private ObjectNode create(JsonNode command) throws Exception {
        ObjectNode settings = command.get("settings").deepCopy();
        String optimizer = settings.remove("optimizer").asText();
        session = client.session(optimizer, SessionSettings.of(settings));
        return at();
    }

    private ObjectNode update(JsonNode command) throws Exception {
        JsonNode words = command.get("gradient");
        float[] gradient = new float[words.size()];
        for (int i = 0; i < gradient.length; i++) {
            gradient[i] = Float.intBitsToFloat(Integer.parseUnsignedInt(words.get(i).asText(), 16));
        }
        if (command.has("step")) {
            session.step(command.get("step").asLong());
        }
        float[] update = session.update(gradient, command.has("loss") ? command.get("loss").asDouble() : null);
        ObjectNode answer = JSON.createObjectNode().put("step", session.step()).put("replayed", session.replayed());
        ArrayNode out = answer.putArray("update");
        for (float value : update) {
            out.add(String.format("%08x", Float.floatToRawIntBits(value)));
        }
        return answer;
    }

    private ObjectNode optimizers() throws Exception {
        List<String> names = new ArrayList<>();
        client.optimizers().forEach(item -> names.add(item.get("name").asText()));
        names.sort(null);
        ObjectNode answer = JSON.createObjectNode();
        names.forEach(answer.putArray("names")::add);
        return answer;
    }

    private ObjectNode runJob(JsonNode command) throws Exception {
        Job job = client.submit(command.get("spec"));
        List<String> kinds = new ArrayList<>();
        job.events(event -> kinds.add(event.kind()));
        return ((ObjectNode) job.info()).put("first", kinds.get(0)).put("last", kinds.get(kinds.size() - 1));
    }

    private ObjectNode obey(JsonNode command) throws Exception {
        ObjectNode nothing = JSON.createObjectNode();
        String name = command.path("name").asText();
        switch (command.get("op").asText()) {
            case "create":
                return create(command);
            case "resume":
                session = client.resume(session.id());
                return at();
            case "update":
                return update(command);
            case "reset":
                session.reset();
                return at();
            case "checkpoint":
                session.checkpoint(name);
                return nothing;
            case "restore":
                session.restore(command.get("checkpoint").asText());
                return at();
            case "fork":
                session = session.fork(command.path("checkpoint").asText(null));
                return at();
            case "delete":
                session.delete();
                return nothing;
            case "create_optimizer":
                return (ObjectNode) client.createOptimizer(name, command.get("family").asText(), command.get("config"));
            case "optimizers":
                return optimizers();
            case "upload":
                byte[] file = Base64.getDecoder().decode(command.get("file").asText());
                return nothing.put("version", client.upload(name, file).get("version").asInt());
            case "download":
                byte[] weights = client.download(name, command.get("version").asInt());
                byte[] hash = MessageDigest.getInstance("SHA-256").digest(weights);
                return nothing.put("sha256", HexFormat.of().formatHex(hash));
            case "run_job":
                return runJob(command);
            default:
                throw new IllegalArgumentException(command.toString());
        }
    }

    private JsonNode answer(JsonNode command) throws Exception {
        try {
            return obey(command);
        } catch (ApiException refused) {
            return JSON.createObjectNode().put("error", refused.code()).put("status", refused.status());
        } catch (ConnectionFailedException lost) {
            return JSON.createObjectNode().put("error", "connection_failed");
        }
    }

    public static void main(String[] arguments) throws Exception {
        ConformanceDriver driver = new ConformanceDriver();
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = lines.readLine()) != null;) {
            System.out.println(driver.answer(JSON.readTree(line)));
        }
    }
}
