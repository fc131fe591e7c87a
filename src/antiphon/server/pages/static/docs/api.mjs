// The API's document, shown by Swagger UI. Nothing is asked of other hosts: no validator, no fonts.

const root = document.baseURI.replace(/\/$/, "");
const key = sessionStorage.getItem("antiphon-key") ?? "";

window.ui = window.SwaggerUIBundle({
  url: `${root}/openapi.json`,
  dom_id: "#api",
  deepLinking: true,
  filter: true,
  docExpansion: "list",
  defaultModelsExpandDepth: 0,
  defaultModelExpandDepth: 2,
  displayRequestDuration: true,
  validatorUrl: null,
  requestSnippetsEnabled: true,
  onComplete: () => {
    document.documentElement.dataset.ready = "yes";
    if (key) window.ui.preauthorizeApiKey("key", key);
  },
});
