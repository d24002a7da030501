// What the explorer's page has besides the browser's own.
interface Window {
  Plotly: any;
}
