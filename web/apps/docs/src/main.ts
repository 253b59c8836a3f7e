/** Swagger UI on the OpenAPI document of the server that this page comes from. */
import SwaggerUIBundle from "swagger-ui-dist/swagger-ui-bundle.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const followScheme = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", followScheme);
followScheme();

SwaggerUIBundle({
  dom_id: "#docs",
  url: new URL("../openapi.json", document.baseURI).href,
  validatorUrl: null, // nobody else is told of this server
  deepLinking: true,
  defaultModelsExpandDepth: 0,
});
